"""Faults planted in a correct data set, one per check: each is found and named, and nothing else is."""

import json
import shutil

import pytest
from mmengine.config import Config
from verification_helpers import only

from mmaffinity.datasets.verification import CHECKS, verify_config
from mmaffinity.utils.wording import plural


def test_clean_data_has_no_findings(bench):
    report = bench.verify()
    assert report.findings == [] and report.passed
    assert report.sentences()[-1] == 'passed: no problems found'
    rows = {row['name']: row for row in report.datasets}
    assert list(rows) == [
        'train (annotations/lesions_train.json)',
        'train (annotations/slices_train.json)',
        'val (annotations/slices_val.json)',
        'test (annotations/lesions_test.json)',
        'test (annotations/slices_test.json)',
    ]
    slices = rows['train (annotations/slices_train.json)']
    assert (slices['num'], slices['patients'], slices['scans'], slices['unknown_patients']) == (4, 2, 2, 0)
    assert slices['classes'] == {'Normal': 2, 'COVID-19': 2}
    assert slices['kinds'] == {'.png': 4}
    assert slices['sizes'] == {'48 x 48': 4} and slices['depths'] == {'8': 4}
    lesions = rows['test (annotations/lesions_test.json)']
    assert (lesions['num'], lesions['with_lesions'], lesions['classes']) == (2, 2, {'lesion': 2})
    assert report.reading['files'] == report.reading['read'] == 12 + 4 + 4  # slices, lesion images, masks


def test_allowed_failures_pass_and_strict_warnings_fail(bench):
    bench.slices['val'][0]['patient_id'] = 'test-0'
    bench.slices['val'][0]['scan_id'] = 'other'
    report = bench.verify(allow=['shared-patients'])
    assert report.passed and only(report, 'shared-patients')[0].severity == 'allowed'
    assert '1 accepted with --allow' in report.sentences()[-1]
    bench.slices['train'][0]['patient_id'] = None
    assert bench.verify(allow=['shared-patients']).passed
    strict = bench.verify(allow=['shared-patients'], strict=True)
    assert not strict.passed and [finding.check for finding in strict.findings] == ['unknown-patients', 'shared-patients']
    assert bench.verify(allow=['shared-patients', 'unknown-patients'], strict=True).passed
    with pytest.raises(ValueError, match="the unknown check 'patients'; choose from unreadable-lists"):
        bench.verify(allow=['patients'])


def test_file_kinds_are_counted_by_name(bench):
    image = bench.read('slices/val_0.png')
    for index, name in enumerate(('slices/val_0.JPG', 'slices/val_1.jpg')):
        bench.write(name, image)
        bench.slices['val'][index]['img_path'] = name
    report = bench.verify(read_files=False)
    row = next(row for row in report.datasets if row['split'] == 'val')
    assert row['kinds'] == {'.jpg': 2, '.png': 2} and row['sizes'] is None
    assert any('2 patients, 2 scans, .jpg and .png' in line for line in report.sentences())


def test_class_counts(bench):
    for row in bench.slices['train']:
        row['label'] = 0
    (finding,) = only(bench.verify(), 'class-counts')
    assert 'no slice of COVID-19 (Normal 4, COVID-19 0)' in finding.message and 'train' in finding.message


def test_unreadable_list_does_not_stop_the_others(bench):
    config = bench.config()
    (bench.root / 'annotations/slices_val.json').write_text('{')
    report = verify_config(config, workers=0)
    (finding,) = only(report, 'unreadable-lists')
    assert 'slices_val.json is not valid JSON' in finding.message and len(report.datasets) == 4 and not report.passed
    config.val_dataloader.dataset.type = 'NoSuchDataset'
    assert 'NoSuchDataset' in only(verify_config(config, workers=0), 'unreadable-lists')[0].message


def test_common_cause_is_reported_once(bench):
    """A missing data root affects all files."""
    config = bench.config()
    bench.root.rename(bench.root.parent / 'elsewhere')
    finding, *others = only(verify_config(config, workers=0), 'unreadable-lists')
    assert not others and finding.count == len(finding.items) == 5
    assert finding.message.startswith('5 data sets (train, val, test) cannot be loaded, and are not verified further: data')


def test_config_without_data():
    with pytest.raises(
        ValueError, match='has no data set: set the dataset of at least one of train_dataloader, val_dataloader'
    ):
        verify_config(Config(dict(model=dict())))


def test_lists_only_reads_no_file(bench):
    bench.slices['test'][0]['patient_id'] = 'train-0'
    config = bench.config()
    shutil.rmtree(bench.root / 'slices')
    report = verify_config(config, read_files=False)
    assert {finding.check for finding in report.findings} == {'shared-patients', 'shared-scans'}
    assert report.reading is None and 'no files were read' in report.sentences()[-1]
    assert all(row['content_sha256'] is None for row in report.datasets)


@pytest.mark.parametrize('pattern, checks', [(r'(?P<patient>p\d+)_', set()), (None, {'unknown-patients'})])
def test_folds_of_folders(bench, pattern, checks):
    for index in range(24):
        bench.draw(f'folders/{("a", "b")[index % 2]}/p{index // 2}_{index}.png', 5000 + index)

    def fold(test_mode):
        return dict(
            dataset=dict(
                type='SliceFolderDataset',
                data_root=str(bench.root / 'folders'),
                slice_classes=['a', 'b'],
                patient_pattern=pattern,
                folds=3,
                fold=1,
                test_mode=test_mode,
            )
        )

    report = verify_config(Config(dict(train_dataloader=fold(False), test_dataloader=fold(True))), workers=0)
    assert {finding.check for finding in report.findings} == checks
    assert sum(row['num'] for row in report.datasets) == 24 and all(row['num'] for row in report.datasets)
    assert 'all but fold 1 of 3' in report.datasets[0]['name']
    # A wrong config uses the same fold twice.
    report = verify_config(Config(dict(train_dataloader=fold(True), test_dataloader=fold(True))), workers=0)
    assert 'shared-slices' in {finding.check for finding in report.findings}


def test_wrapped_data_sets_are_found(bench):
    config = bench.config()
    config.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=config.train_dataloader.dataset)
    assert len(verify_config(config, workers=0).datasets) == 5


def test_report_is_written_as_plain_json(bench, tmp_path):
    bench.slices['test'][0]['patient_id'] = 'train-0'
    report = bench.verify(allow=['shared-scans'])
    report.write(tmp_path / 'sub/report.json')
    content = json.loads((tmp_path / 'sub/report.json').read_text())
    assert content['schema'] == 1 and content['passed'] is False
    assert [finding['check'] for finding in content['findings']] == ['shared-patients', 'shared-scans']
    assert [finding['severity'] for finding in content['findings']] == ['failure', 'allowed']
    assert len(content['datasets']) == 5 and content['reading']['read'] == 20


def test_every_check_is_described(repo_root):
    text = (repo_root / 'docs/data.md').read_text()
    assert [name for name in CHECKS if f'`{name}`' not in text] == []


@pytest.mark.parametrize(
    'count, noun, verb, words',
    [
        (1, 'slice', 'is', '1 slice is'),
        (2, 'box', '', '2 boxes'),
        (3, 'copy', 'has', '3 copies have'),
        (0, 'scan', '', '0 scans'),
    ],
)
def test_plural(count, noun, verb, words):
    assert plural(count, noun, verb) == words
