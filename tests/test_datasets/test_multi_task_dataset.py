import json
import pickle

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

import mmaffinity.datasets  # noqa: F401 (registers)


def parts(root, **slices) -> list[dict]:
    pipeline = [dict(type='LoadCTSlice'), dict(type='PackSliceInputs')]
    return [
        dict(type='LesionDataset', data_root=str(root), ann_file='lesions.json', pipeline=pipeline),
        dict(type='SliceDataset', data_root=str(root), ann_file='slices.json', pipeline=pipeline, **slices),
    ]


def build(datasets, **options):
    return DATASETS.build(dict(type='MultiTaskDataset', datasets=datasets, **options))


def test_concatenation(two_task_root):
    dataset = build(parts(two_task_root))
    assert len(dataset) == 12 and list(dataset.cumulative_sizes) == [5, 12] and dataset.task is None
    assert [dataset[i]['inputs'].max().item() for i in range(12)] == [10, 11, 12, 13, 14, *range(100, 107)]
    assert dataset[-1]['data_samples'].task == 'classification'
    assert dataset.get_data_info(5)['gt_slice_label'] == 0
    assert dataset.metainfo == dict(classes=('lesion',), palette=[(220, 20, 60)], slice_classes=('Normal', 'CP', 'COVID-19'))


def test_ranges(two_task_root):
    lesions, slices = parts(two_task_root)
    dataset = build([slices, lesions, slices])
    np.testing.assert_array_equal(dataset.task_indices('classification'), [*range(7), *range(12, 19)])
    np.testing.assert_array_equal(dataset.task_indices('segmentation'), range(7, 12))
    for index in range(19):
        assert (dataset.get_data_info(index)['task'] == 'segmentation') == (7 <= index < 12)
    alone = build([slices])
    assert alone.task == 'classification' and alone.task_indices('segmentation').tolist() == []


def test_built_parts_are_accepted(two_task_root):
    built = [DATASETS.build(part) for part in parts(two_task_root)]
    assert build(built).datasets == built


def test_conflicting_metainfo(two_task_root):
    lesions, slices = parts(two_task_root)
    content = json.loads((two_task_root / 'slices.json').read_text())
    content['metainfo'] = dict(slice_classes=['Normal', 'COVID-19', 'CP'], source='b')
    (two_task_root / 'other.json').write_text(json.dumps(content))
    other = dict(slices, ann_file='other.json')
    with pytest.raises(ValueError, match=r'data sets 1 and 2 of the classification task differ in "slice_classes"'):
        build([lesions, slices, other])
    content['metainfo'] = dict(slice_classes=['Normal', 'CP', 'COVID-19'], source='a')
    (two_task_root / 'slices.json').write_text(json.dumps(content))
    content['metainfo']['source'] = 'b'
    (two_task_root / 'other.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match="\"source\": 'a' and 'b'.*ignore_keys"):
        build([lesions, slices, other])
    for ignore_keys in ('source', ['source']):
        assert build([lesions, slices, other], ignore_keys=ignore_keys).metainfo['source'] == 'a'
    # Between tasks a key may differ.
    lesions['metainfo'] = dict(source=['c'])
    assert build([lesions, slices]).metainfo['source'] == ['c']


def test_parts_need_a_task(two_task_root):
    with pytest.raises(ValueError, match='BaseDataset cannot be part of MultiTaskDataset'):
        build([BaseDataset(lazy_init=True)])
    with pytest.raises(ValueError, match='at least one'):
        build([])


def test_lazy_init(two_task_root):
    lazy = [dict(part, lazy_init=True) for part in parts(two_task_root)]
    dataset = build(lazy, lazy_init=True)
    assert not dataset._fully_initialized and 'slice_classes' not in dataset.metainfo
    dataset.full_init()
    assert len(dataset) == 12 and 'slice_classes' in dataset.metainfo
    assert len(build(lazy, lazy_init=True).task_indices('segmentation')) == 5  # initialises itself


def test_pickling(two_task_root):
    dataset = pickle.loads(pickle.dumps(build(parts(two_task_root))))
    assert len(dataset) == 12 and dataset[11]['inputs'].max() == 106
