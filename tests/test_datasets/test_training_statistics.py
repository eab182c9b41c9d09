"""Statistics of training sets: which slices, read how, and when their fingerprint changes."""

import shutil

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS

from mmaffinity.datasets.training_statistics import slices_fingerprint, training_statistics

LOAD = [dict(type='LoadCTSlice'), dict(type='Resize', scale=(8, 8), keep_ratio=False), dict(type='PackSliceInputs')]


def folders(root, **kwargs):
    return DATASETS.build(
        dict(type='SliceFolderDataset', data_root=str(root), slice_classes=('a', 'b'), **{'pipeline': LOAD, **kwargs})
    )


def expected(slices):
    pixels = np.concatenate([np.ravel(slice_) for slice_ in slices]) / 255
    return pytest.approx(pixels.mean(), rel=1e-12), pytest.approx(pixels.std(), rel=1e-9)


@pytest.fixture
def root(tmp_path):
    """Two classes of three slices each of noise, of different sizes."""
    random = np.random.default_rng(0)
    for name in 'ab':
        (tmp_path / name).mkdir()
        for index in range(3):
            cv2.imwrite(str(tmp_path / name / f'{name}{index}.png'), random.integers(0, 256, (20 + index, 30), np.uint8))
    return tmp_path


def pixels(dataset):
    return [cv2.imread(str(dataset.get_data_info(index)['img_path']), cv2.IMREAD_UNCHANGED) for index in range(len(dataset))]


def test_slices_count_at_their_own_size(root):
    dataset = folders(root)
    result = training_statistics(dataset)
    assert (result['mean'], result['std']) == expected(pixels(dataset))
    assert result['num_slices'] == 6 and result['source'] == str(root)


def test_folds_use_only_their_training_slices(root):
    for fold in range(2):
        train = folders(root, folds=2, fold=fold)
        assert 0 < len(train) < 6
        result = training_statistics(train)
        assert (result['mean'], result['std']) == expected(pixels(train)) and result['num_slices'] == len(train)
        assert f'all but fold {fold} of 2' in result['source']


def test_max_value_of_the_pipeline_is_used(tmp_path):
    for name, level in (('a', 1000), ('b', 3095)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / '0.png'), np.full((4, 4), level, np.uint16))
    pipeline = [dict(type='LoadCTSlice', max_value=4095), *LOAD[1:]]
    assert training_statistics(folders(tmp_path, pipeline=pipeline))['mean'] == pytest.approx(0.5, abs=1e-7)


def test_labelled_slices_are_used_or_else_lesion_slices(two_task_root):
    lesions = dict(type='LesionDataset', data_root=str(two_task_root), ann_file='lesions.json', pipeline=LOAD)
    labelled = dict(type='SliceDataset', data_root=str(two_task_root), ann_file='slices.json', pipeline=LOAD)
    both = training_statistics(DATASETS.build(dict(type='MultiTaskDataset', datasets=[lesions, labelled])))
    assert both['num_slices'] == 7 and both['source'] == 'slices.json'
    assert both['mean'] == pytest.approx(103 / 255)  # levels 100 to 106
    alone = training_statistics(DATASETS.build(lesions))
    assert alone['num_slices'] == 5 and alone['mean'] == pytest.approx(12 / 255)
    repeated = training_statistics(DATASETS.build(dict(type='RepeatDataset', times=3, dataset=labelled)))
    assert repeated['num_slices'] == 7 and repeated['mean'] == both['mean']


def test_slices_skipped_in_training_are_excluded(root):
    whole = pixels(folders(root))
    (root / 'a/a0.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'a0\.png is not an image'):
        training_statistics(folders(root))
    result = training_statistics(folders(root, on_unreadable='skip'))
    assert result['num_slices'] == 5 and (result['mean'], result['std']) == expected(whole[1:])


def test_statistics_that_cannot_normalise_are_rejected(root):
    with pytest.raises(ValueError, match='loads no image: start it with LoadCTSlice'):
        training_statistics(folders(root, pipeline=[_Pass()]))
    with pytest.raises(ValueError, match='no pipeline that loads slices'):
        training_statistics(folders(root, pipeline=[]))
    for name in 'ab':
        for index in range(3):
            cv2.imwrite(str(root / name / f'{name}{index}.png'), np.full((4, 4), 51, np.uint8))
    with pytest.raises(ValueError, match='same grey level, 51 of 255'):
        training_statistics(folders(root))


class _Pass:
    """A transform that loads nothing."""

    def __call__(self, results):
        return results


def test_slices_fingerprint(root, tmp_path_factory):
    first = slices_fingerprint(folders(root))
    copy = tmp_path_factory.mktemp('copy') / 'elsewhere'
    shutil.copytree(root, copy)
    assert slices_fingerprint(folders(copy)) == first == training_statistics(folders(root))['slices_sha256']
    assert slices_fingerprint(folders(root, folds=2)) != first
    assert slices_fingerprint(folders(root, pipeline=[dict(type='LoadCTSlice', max_value=4095)])) != first
    cv2.imwrite(str(root / 'a/a0.png'), np.zeros((20, 30), np.uint8))  # fewer bytes under the same name
    assert slices_fingerprint(folders(root)) != first
