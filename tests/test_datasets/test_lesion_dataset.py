import json

import numpy as np
import pytest
from mmdet.registry import DATASETS

import mmaffinity.datasets  # noqa: F401 (registers)

PIPELINE = [dict(type='LoadCTSlice'), dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='PackSliceInputs')]


def build(root, **options):
    return DATASETS.build(dict(type='LesionDataset', data_root=str(root), ann_file='lesions.json', **options))


def edit(root, change) -> None:
    content = json.loads((root / 'lesions.json').read_text())
    change(content)
    (root / 'lesions.json').write_text(json.dumps(content))


def test_entries(two_task_root, capfd):
    dataset = build(two_task_root)
    assert 'annotations' not in capfd.readouterr().out  # pycocotools would report here
    assert len(dataset) == 5 and dataset.task == 'segmentation'
    assert dataset.metainfo['classes'] == ('lesion', )
    info = dataset.get_data_info(2)
    assert info['img_path'] == str(two_task_root / 'image' / 'lesion_2.png')
    assert (info['img_id'], info['row'], info['patient_id'], info['scan_id']) == (3, 2, 'p1', None)
    assert info['ann_file'] == str(two_task_root / 'lesions.json') and info['task'] == 'segmentation'
    assert [lesion['bbox'] for lesion in info['instances']] == [[0, 0, 12, 12]]


def test_pipeline(two_task_root):
    packed = build(two_task_root, pipeline=PIPELINE)[0]
    sample = packed['data_samples']
    assert packed['inputs'].shape == (1, 24, 32) and packed['inputs'].unique().tolist() == [10]
    assert sample.gt_instances.bboxes.tolist() == [[2, 3, 12, 11], [20, 10, 26, 16]]
    expected = np.zeros((2, 24, 32), np.uint8)
    expected[0, 3:11, 2:12], expected[1, 10:16, 20:26] = 1, 1
    assert np.array_equal(sample.gt_instances.masks.masks, expected)
    empty = build(two_task_root, pipeline=PIPELINE)[1]['data_samples'].gt_instances
    assert empty.bboxes.shape == (0, 4) and empty.masks.masks.shape == (0, 24, 32)


def test_filter(two_task_root):
    options = dict(filter_cfg=dict(filter_empty_gt=True))
    kept = build(two_task_root, **options)
    assert [kept.get_data_info(i)['img_id'] for i in range(len(kept))] == [1, 3, 4]
    assert [kept.get_data_info(i)['row'] for i in range(len(kept))] == [0, 2, 3]
    assert len(build(two_task_root, test_mode=True, **options)) == 5
    assert len(build(two_task_root, filter_cfg=dict(min_size=24))) == 5
    with pytest.raises(ValueError, match=r'no slice of .*lesions\.json is left: 5 in the file, 3 with lesions'):
        build(two_task_root, filter_cfg=dict(min_size=25))


def test_degenerate_lesions_count_as_none(two_task_root):
    def spoil(content):
        content['annotations'][2].update(bbox=[40, 5, 8, 8])  # image 3: outside
        content['annotations'][3].update(bbox=[5, 5, 0.5, 8])  # image 4: thinner than a pixel
        content['annotations'][0].update(iscrowd=1)  # image 1 keeps its second lesion

    edit(two_task_root, spoil)
    dataset = build(two_task_root, filter_cfg=dict(filter_empty_gt=True), pipeline=PIPELINE)
    assert len(dataset) == 1
    sample = dataset[0]['data_samples']
    assert len(sample.gt_instances) == 1 and len(sample.ignored_instances) == 1

    edit(two_task_root, lambda content: content['annotations'][1].update(area=0))
    with pytest.raises(ValueError, match='no slice .* is left'):
        build(two_task_root, filter_cfg=dict(filter_empty_gt=True))


def test_two_classes(two_task_root):
    """Category ids need not be the labels, and labels follow the order of the names."""
    def two(content):
        content['categories'] = [dict(id=7, name='GGO'), dict(id=3, name='Consolidation')]
        for annotation, category in zip(content['annotations'], (7, 3, 3, 7)):
            annotation['category_id'] = category

    edit(two_task_root, two)
    dataset = build(two_task_root, metainfo=dict(classes=['GGO', 'Consolidation']))
    labels = [[lesion['bbox_label'] for lesion in dataset.get_data_info(i)['instances']] for i in range(5)]
    assert labels == [[0, 1], [], [1], [0], []]
    for classes in (('Consolidation', 'GGO'), ('GGO', ), ('lesion', )):
        with pytest.raises(ValueError, match=r"categories \('GGO', 'Consolidation'\).*classes \('" + classes[0]):
            build(two_task_root, metainfo=dict(classes=classes))


@pytest.mark.parametrize('change, match', [
    (lambda c: c.pop('images'), 'no list "images"'),
    (lambda c: c['images'][1].pop('width'), r'images\[1\] of .*lesions.json lacks width'),
    (lambda c: c['images'][1].update(id=1), r'images\[1\] .*repeats the id 1'),
    (lambda c: c['annotations'][3].pop('bbox'), r'annotations\[3\] .*lacks bbox'),
    (lambda c: c['annotations'][3].update(id=1), r'annotations\[3\] .*repeats the id 1'),
    (lambda c: c['annotations'][3].update(image_id=99), r'annotations\[3\] .*unknown image_id 99'),
    (lambda c: c['annotations'][3].update(category_id=2), r'annotations\[3\] .*unknown category_id 2'),
    (lambda c: c['categories'].append(dict(id=1, name='lesion')), 'categories'),
    (lambda c: (c.update(images=[], annotations=[])), 'no slice .* is left: 0 in the file'),
])
def test_broken_files(two_task_root, change, match):
    edit(two_task_root, change)
    with pytest.raises(ValueError, match=match):
        build(two_task_root)


def test_shared_category_id(two_task_root):
    edit(two_task_root, lambda c: c['categories'].append(dict(id=1, name='other')))
    with pytest.raises(ValueError, match='share an id'):
        build(two_task_root, metainfo=dict(classes=('lesion', 'other')))


def test_missing_file_names_the_converter(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'lesions\.json.*mmaffinity convert cncb-ncov DATA_ROOT'):
        build(tmp_path)


def test_broken_image_names_its_row(two_task_root):
    dataset = build(two_task_root, pipeline=PIPELINE)
    (two_task_root / 'image' / 'lesion_3.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'lesion_3\.png is empty.*row 3 of .*lesions\.json'):
        dataset[3]


def test_lazy_init(tmp_path):
    dataset = build(tmp_path, lazy_init=True)  # the file does not exist
    assert dataset.metainfo['classes'] == ('lesion', ) and dataset.task == 'segmentation'
    with pytest.raises(FileNotFoundError):
        dataset.full_init()
