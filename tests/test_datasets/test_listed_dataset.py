"""Unreadable slices: stop the run, or skip and count them."""

import pytest
from mmdet.registry import DATASETS
from mmengine.runner import Runner

from mmaffinity.datasets.multi_task_dataset import MultiTaskDataset

PIPELINE = [dict(type='LoadCTSlice'), dict(type='PackSliceInputs')]


def loader_of(root, policy, num_workers=0, start_method=None):
    root = dict(data_root=str(root), pipeline=PIPELINE, on_unreadable=policy)
    dataset = dict(
        type=MultiTaskDataset.__name__,
        datasets=[
            dict(type='LesionDataset', ann_file='lesions.json', filter_cfg=dict(filter_empty_gt=True), **root),
            dict(type='SliceDataset', ann_file='slices.json', **root),
        ],
    )
    extra = {} if start_method is None else dict(multiprocessing_context=start_method)
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            sampler=dict(type='AlternatingSampler'),
            batch_size=2,
            num_workers=num_workers,
            batch_sampler=dict(type='AlternatingBatchSampler'),
            persistent_workers=num_workers > 0,
            **extra,
        ),
        seed=1,
    )


def contents(loader, epochs=2):
    """Task, names and grey levels of all batches."""
    seen = []
    for epoch in range(epochs):
        loader.batch_sampler.sampler.set_epoch(epoch)
        seen += [
            [(sample.task, sample.img_path, int(image.max())) for image, sample in zip(*batch.values())] for batch in loader
        ]
    return seen


def names(paths):
    return sorted(path.rsplit('/', 1)[-1] for path in paths)


@pytest.fixture
def broken(two_task_root):
    """One slice is truncated, one missing."""
    (two_task_root / 'image' / 'slice_2.png').write_bytes(b'no image')
    (two_task_root / 'image' / 'slice_6.png').unlink()
    return two_task_root


def test_policy_does_not_change_readable_data(two_task_root):
    stop, skip = loader_of(two_task_root, 'stop'), loader_of(two_task_root, 'skip')
    assert contents(stop) == contents(skip)
    assert all(part.skipped() == [] for loader in (stop, skip) for part in loader.dataset.datasets)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_stop_policy_raises(num_workers, broken):
    with pytest.raises((ValueError, FileNotFoundError), match=r'slice_[26]\.png'):
        contents(loader_of(broken, 'stop', num_workers))


def test_skip_keeps_alternation_and_is_the_same_with_workers(broken):
    loaders = [loader_of(broken, 'skip', num_workers) for num_workers in (0, 2)]
    first, second = (contents(loader) for loader in loaders)
    assert first == second
    assert [{task for task, _, _ in batch} for batch in first] == [{'segmentation'}, {'classification'}] * (len(first) // 2)
    # Each epoch contains the successors twice: slice 3 for 2 and, because the list is circular, slice 0 for 6.
    shown = names(path for batch in first for task, path, _ in batch if task == 'classification')
    assert shown == names(2 * [f'slice_{number}.png' for number in (0, 0, 1, 3, 3, 4, 5)])
    for loader in loaders:
        assert names(loader.dataset.datasets[1].skipped()) == ['slice_2.png', 'slice_6.png']
        assert loader.dataset.datasets[0].skipped() == []


def test_many_unreadable_slices_in_a_row_stop_the_run(two_task_root):
    for path in (two_task_root / 'image').glob('slice_*.png'):
        path.unlink()
    with pytest.raises(ValueError, match='7 slices in a row.*slice_'):
        contents(loader_of(two_task_root, 'skip'))


def test_invalid_arguments(two_task_root):
    config = dict(type='SliceDataset', ann_file='slices.json', data_root=str(two_task_root), pipeline=PIPELINE)
    with pytest.raises(ValueError, match="must be one of .*, not 'ignore'"):
        DATASETS.build(dict(config, on_unreadable='ignore'))
    with pytest.raises(ValueError, match='is for training'):
        DATASETS.build(dict(config, on_unreadable='skip', test_mode=True))
