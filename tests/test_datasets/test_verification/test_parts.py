"""The data sets of a config, including those that cannot be loaded."""

import pytest
from mmengine.config import Config
from verification_helpers import only

from mmaffinity.datasets.verification import verify_config


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
