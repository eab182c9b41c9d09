"""The real lists, without their slices: do splits share patients?"""

import pytest

from mmaffinity.datasets.conversion import convert_cncb_ncov, convert_ictcf
from mmaffinity.datasets.conversion.cncb_ncov import LIST_NAMES
from mmaffinity.datasets.conversion.lists import parse_segmentation_list
from mmaffinity.datasets.verification import verify_config
from mmaffinity.utils.config import load_config
from mmaffinity.utils.files import write_json_atomic


@pytest.fixture(scope='module')
def cncb_root(shared_dir, tmp_path_factory):
    root = tmp_path_factory.mktemp('cncb')
    folders = [shared_dir / 'data/covidx_ct_v1', shared_dir / 'data/published_splits']
    convert_cncb_ncov(root, list_folders=folders, parts=['slices'], check_files=False, skip_statistics=True)
    for split in ('train', 'test'):  # lesion masks are not available: use the listed slices without lesions
        rows = parse_segmentation_list(folders[1] / LIST_NAMES[f'lesions_{split}'])
        images = [
            dict(
                id=index,
                file_name=f'ct_lesion_seg/image/{row.patient}/{row.name}.jpg',
                width=512,
                height=512,
                patient_id=f'ct_lesion_seg/{row.patient}',
            )
            for index, row in enumerate(rows)
        ]
        write_json_atomic(
            root / f'annotations/lesions_{split}.json',
            dict(images=images, annotations=[], categories=[dict(id=1, name='lesion')]),
        )
    return root


def verify(repo_root, name, root):
    # Without masks no slice has lesions: the filter would leave none.
    config = load_config(repo_root / 'configs' / name, dict(data_root=str(root)))
    for part in config.train_dataloader.dataset.get('datasets') or []:
        part.pop('filter_cfg', None)
    return verify_config(config, read_files=False)


def test_cncb_slice_splits_share_no_patient_and_lesions_are_unknown(repo_root, cncb_root):
    report = verify(repo_root, 'affinity_c8.py', cncb_root)
    unknown, *counts = report.findings
    assert [(finding.check, finding.items) for finding in counts] == [('class-counts', ['lesion'])] * 2
    # No patient is shared by name; lesion patients, named ct_lesion_seg/<n>, cannot match those of labelled slices.
    assert report.passed and unknown.check == 'unknown-patients' and unknown.severity == 'warning'
    pairs = {tuple(item[key].split('/')[-1].removesuffix('.json)') for key in ('first', 'second')) for item in unknown.items}
    assert pairs == {
        ('lesions_train', 'slices_val'),
        ('lesions_train', 'slices_test'),
        ('slices_train', 'lesions_test'),
        ('slices_val', 'lesions_test'),
    }
    rows = {row['name'].split('/')[-1].removesuffix('.json)'): row for row in report.datasets}
    assert rows['slices_train']['classes'] == {'Normal': 1000, 'CP': 1000, 'COVID-19': 1000}
    assert rows['slices_test']['num'] == 21191 and rows['slices_test']['patients'] == 293
    assert (rows['slices_train']['patients'], rows['slices_val']['num']) == (608, 900)
    assert (rows['lesions_train']['patients'], rows['lesions_test']['patients']) == (130, 20)


def test_left_out_slices_share_606_patients_with_training(repo_root, cncb_root):
    report = verify(repo_root, 'affinity_c8_left_out.py', cncb_root)
    found = {finding.check: finding for finding in report.findings if finding.severity == 'failure'}
    assert set(found) == {'shared-patients', 'shared-scans'} and not report.passed
    assert found['shared-patients'].count == 606


def test_ictcf_reports_that_leakage_cannot_be_excluded(repo_root, shared_dir, tmp_path):
    convert_ictcf(tmp_path, list_folders=[shared_dir / 'data/published_splits'], check_files=False, skip_statistics=True)
    report = verify(repo_root, 'affinity_c8_ictcf.py', tmp_path)
    assert report.passed and [finding.check for finding in report.findings] == ['unknown-patients'] * 2
    assert all('leakage' in finding.message and 'cannot be ruled out' in finding.message for finding in report.findings)
    assert [finding.count for finding in report.findings] == [600, 12976]
    assert [row['classes'] for row in report.datasets] == [
        {'Negative': 300, 'COVID-19': 300},
        {'Negative': 9275, 'COVID-19': 3701},
    ]
