"""Verification of leakage between splits: patients, scans and files."""

import pytest
from verification_helpers import only

from mmaffinity.datasets.verification import verify_config


@pytest.mark.parametrize(
    'field, check, name', [('patient_id', 'shared-patients', 'train-1'), ('scan_id', 'shared-scans', 'train-1/s1')]
)
def test_shared_patients_and_scans(bench, field, check, name):
    bench.slices['test'][0]['patient_id'] = 'train-1'
    bench.slices['test'][0]['scan_id'] = 's1' if field == 'scan_id' else 'other'
    report = bench.verify()
    found = {finding.check: finding for finding in report.findings}
    assert set(found) == ({'shared-patients'} if field == 'patient_id' else {'shared-patients', 'shared-scans'})
    assert found[check].count == 1 and name in found[check].message and 'both train and test' in found[check].message
    assert '2 slices of train, 1 of test' in found[check].message
    assert not report.passed


def test_scan_numbers_are_counted_per_patient(bench):
    """Every patient of the bench has scans s0 or s1: numbers within a patient are no shared scans."""
    assert {row['scan_id'] for rows in bench.slices.values() for row in rows} == {'s0', 's1'}
    only(bench.verify())
    for split in ('train', 'test'):
        for row in bench.slices[split]:
            row['patient_id'] = None
    found = only(bench.verify(), 'unknown-patients', 'shared-scans')
    assert found[0].check == 'shared-scans' and found[0].count == 2  # without patients, there are only numbers


def test_unknown_patients(bench):
    for row in bench.slices['test'][:3]:
        row['patient_id'] = None
    report = bench.verify()
    (finding,) = only(report, 'unknown-patients')
    assert report.passed and finding.severity == 'warning' and finding.count == 3
    assert '3 of 4 slices' in finding.message and 'leakage' in finding.message and 'cannot be ruled out' in finding.message


def test_patients_in_separate_name_spaces_cannot_be_compared(bench):
    """Lesion patients as cncb_ncov.py names them never match patients of labelled slices by name."""
    for content in bench.lesions.values():
        for image in content['images']:
            image['patient_id'] = f'ct_lesion_seg/{image["patient_id"]}'
    report = bench.verify(read_files=False)
    (finding,) = only(report, 'unknown-patients')
    assert report.passed and finding.severity == 'warning' and finding.count == 4
    names = {
        split: [f'{split} (annotations/{kind}_{split}.json)' for kind in ('lesions', 'slices')]
        for split in ('train', 'val', 'test')
    }
    # Names are comparable between the two lesion lists, and between the slice lists; the train lists are one split.
    pairs = {
        (names['train'][0], names['val'][1]),
        (names['train'][0], names['test'][1]),
        (names['train'][1], names['test'][0]),
        (names['val'][1], names['test'][0]),
    }
    assert {(item['first'], item['second']) for item in finding.items} == pairs
    assert all(item['name_spaces'] == ['ct_lesion_seg/'] for item in finding.items)
    assert f'leakage (a patient in two splits) cannot be ruled out between {names["train"][0]}' in finding.message
    # A patient in the name space of both lists makes them comparable.
    bench.slices['test'][0]['patient_id'] = 'ct_lesion_seg/other'
    bench.slices['test'][0]['scan_id'] = 'other'
    assert only(bench.verify(read_files=False), 'unknown-patients')[0].count == 3


def test_name_spaces_are_compared_within_one_data_root(bench):
    """Two roots are two collections, so a name in only one of them means nothing."""
    config = bench.config()
    config.train_dataloader.dataset = dict(config.train_dataloader.dataset.datasets[1])
    for rows, site in ((bench.slices['train'], 'site_a'), (bench.slices['val'], 'site_b'), (bench.slices['test'], 'site_b')):
        for row in rows:
            row['patient_id'] = f'hospitals/{site}/{row["patient_id"]}'
    config.test_dataloader = None
    bench.config()  # writes the lists
    (finding,) = only(verify_config(config, read_files=False), 'unknown-patients')
    assert finding.items[0]['name_spaces'] == ['hospitals/site_a/', 'hospitals/site_b/']
    (bench.root / 'other').symlink_to(bench.root)
    config.val_dataloader.dataset.data_root = str(bench.root / 'other')
    only(verify_config(config, read_files=False))


def test_single_split_cannot_leak(bench):
    config = bench.config()
    config.val_dataloader = config.test_dataloader = None
    for row in bench.slices['train']:
        row['patient_id'] = None
    only(verify_config(config, workers=0))


def test_shared_file(bench):
    bench.slices['test'][0]['img_path'] = './slices/../slices/train_0.png'  # the same file, written otherwise
    (finding,) = only(bench.verify(), 'shared-slices')
    assert finding.count == 1 and 'slices/train_0.png' in finding.message
