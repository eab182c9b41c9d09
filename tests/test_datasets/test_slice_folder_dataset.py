import os
import sys
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict

import mmaffinity.datasets  # noqa: F401 (registers)

PIPELINE = [dict(type='LoadCTSlice'), dict(type='PackSliceInputs')]


def build(root, slice_classes=('NonCOVID', 'COVID'), **options):
    return DATASETS.build(
        dict(type='SliceFolderDataset', data_root=str(root), slice_classes=slice_classes, serialize_data=False, **options)
    )


def infos(dataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


@pytest.fixture
def folders(tmp_path):
    """Two classes, 40 patients of 3 slices each, patients 30 to 39 in both classes."""
    for folder, patients in (('NonCOVID', range(0, 40)), ('COVID', range(30, 70))):
        for patient in patients:
            (tmp_path / folder / 'sub').mkdir(parents=True, exist_ok=True)
            for index in range(3):
                name = f'{"sub/" if index == 2 else ""}p{patient:02d}_{index}.{"PNG" if index else "png"}'
                cv2.imwrite(str(tmp_path / folder / name), np.full((4, 5), patient, np.uint8))
    for leftover in ('Thumbs.db', '._p00_0.png', 'notes.txt'):
        (tmp_path / 'COVID' / leftover).write_text('x')
    return tmp_path


def test_entries(folders):
    dataset = build(folders, pipeline=PIPELINE)
    assert dataset.metainfo['slice_classes'] == ('NonCOVID', 'COVID') and dataset.task == 'classification'
    listed = infos(dataset)
    assert Counter(info['gt_slice_label'] for info in listed) == {0: 120, 1: 120}
    paths = [info['img_id'] for info in listed]
    assert paths[:2] == ['NonCOVID/p00_0.png', 'NonCOVID/p00_1.PNG'] and paths[119] == 'NonCOVID/sub/p39_2.PNG'
    assert paths[:120] == sorted(paths[:120]) and paths[120:] == sorted(paths[120:])
    assert all(info['patient_id'] is None and info['row'] is None for info in listed)
    sample = dataset[239]
    assert sample['inputs'].unique().tolist() == [69] and sample['data_samples'].gt_slice.label.tolist() == [1]


def test_mapping_of_names(folders):
    for kind in (dict, ConfigDict):
        dataset = build(folders, slice_classes=kind(Sick='COVID', Healthy='NonCOVID'))
        assert dataset.metainfo['slice_classes'] == ('Sick', 'Healthy')
        assert dataset.get_data_info(0)['img_id'] == 'COVID/p30_0.png'


def test_folds_keep_patients_together(folders):
    options = dict(folds=5, patient_pattern=r'/p(?P<patient>\d+)_')
    everything, tested, folds_of = [], [], defaultdict(set)
    for fold in range(5):
        train = infos(build(folders, fold=fold, **options))
        test = infos(build(folders, fold=fold, test_mode=True, **options))
        assert {info['patient_id'] for info in train}.isdisjoint(info['patient_id'] for info in test)
        assert len(train) + len(test) == 240
        tested += [info['img_id'] for info in test]
        for info in test:
            folds_of[info['patient_id']].add(fold)
    everything = [info['img_id'] for info in infos(build(folders))]
    assert sorted(tested) == sorted(everything)
    assert len(folds_of) == 70 and all(len(folds) == 1 for folds in folds_of.values())
    assert len({min(folds) for folds in folds_of.values()}) == 5


@pytest.mark.skipif(sys.platform != 'linux', reason='names that are not UTF-8 exist on Linux only')
def test_folds_of_names_that_are_not_utf8(folders):
    (folders / 'COVID' / os.fsdecode(b'caf\xe9.png')).write_bytes((folders / 'COVID' / 'p30_0.png').read_bytes())
    parts = [{info['img_id'] for info in infos(build(folders, folds=2, fold=fold, test_mode=True))} for fold in range(2)]
    assert not parts[0] & parts[1] and 'COVID/caf\udce9.png' in parts[0] | parts[1]


def test_folds_by_file_name_are_stable(folders):
    before = {info['img_id'] for info in infos(build(folders, folds=4, fold=1, test_mode=True))}
    assert 30 < len(before) < 90
    (folders / 'COVID' / 'p30_0.png').unlink()
    cv2.imwrite(str(folders / 'COVID' / 'a_new.png'), np.zeros((4, 5), np.uint8))
    after = {info['img_id'] for info in infos(build(folders, folds=4, fold=1, test_mode=True))}
    assert after ^ before <= {'COVID/p30_0.png', 'COVID/a_new.png'}


def test_first_group_is_the_patient(folders):
    assert build(folders, patient_pattern=r'p(\d+)_').get_data_info(0)['patient_id'] == '00'


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(folds=1), 'folds=1'),
        (dict(folds=5, fold=5), 'fold=5'),
        (dict(folds=5, fold=-1), 'fold=-1'),
        (dict(patient_pattern='p'), 'has no group'),
        (dict(patient_pattern=r'q(\d+)'), r'matches no patient in NonCOVID/p00_0\.png'),
        (dict(ann_file='x.json'), 'takes no ann_file'),
        (dict(data_prefix=dict(img='')), 'takes no data_prefix'),
        (dict(samples_per_class=121), 'only 120 slices of class NonCOVID'),
        (dict(slice_classes='COVID'), 'list of distinct names'),
    ],
)
def test_bad_arguments(folders, options, match):
    with pytest.raises(ValueError, match=match):
        build(folders, **options)


def test_missing_and_empty_folders(folders):
    with pytest.raises(FileNotFoundError, match='no such folder of slices: .*Covid19.*Set data_root'):
        build(folders, slice_classes=('NonCOVID', 'Covid19'))
    (folders / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty contains no image'):
        build(folders, slice_classes=('NonCOVID', 'empty'))
    for path in (folders / 'COVID').rglob('p*'):
        path.unlink()
    cv2.imwrite(str(folders / 'COVID' / 'p00_0.png'), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r'\(fold . of 1000\) lists no slice'):
        build(folders, folds=1000, fold=5, test_mode=True)


def test_error_names_the_file_only(folders):
    dataset = build(folders, pipeline=PIPELINE)
    (folders / 'NonCOVID' / 'p00_0.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'NonCOVID/p00_0\.png is empty') as error:
        dataset[0]
    assert '(row' not in str(error.value)


def test_user_config_for_real_slices(shared_dir, tmp_path):
    """A user's leaf config for two folders of collected slices."""
    config = tmp_path / 'leaf.py'
    config.write_text(f"""
pipeline = [dict(type='LoadCTSlice'), dict(type='Resize', scale=(64, 64)), dict(type='PackSliceInputs')]
dataset = dict(type='SliceFolderDataset', data_root={str(shared_dir / 'data' / 'ct_slices')!r},
               slice_classes=('NonCOVID', 'COVID'), folds=5, fold=0, pipeline=pipeline)
train_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(test_mode=True, **dataset))
""")
    cfg = Config.fromfile(config)
    sizes = []
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build(loader.dataset)
        labels = [sample['data_samples'].gt_slice.label.item() for sample in dataset]
        assert set(labels) == {0, 1}
        assert all(sample['inputs'].shape == (1, 64, 64) for sample in dataset)
        sizes.append(len(labels))
    assert sum(sizes) == 30 and sizes[0] > sizes[1]
