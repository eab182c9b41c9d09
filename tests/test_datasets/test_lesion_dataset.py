import json
import os

import numpy as np
import pytest
from mmdet.registry import DATASETS

from mmaffinity.datasets import lesion_dataset

PIPELINE = [
    dict(type='LoadCTSlice'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackSliceInputs'),
]


def build(root, **options):
    return DATASETS.build({**dict(type='LesionDataset', data_root=str(root), ann_file='lesions.json'), **options})


def edit(root, change) -> None:
    content = json.loads((root / 'lesions.json').read_text())
    change(content)
    (root / 'lesions.json').write_text(json.dumps(content))


@pytest.fixture
def logged(monkeypatch):
    """What the data set logs."""
    messages = []
    monkeypatch.setattr(lesion_dataset, 'print_log', lambda message, **_: messages.append(message))
    return messages


def test_entries(two_task_root, capfd, logged):
    dataset = build(two_task_root)
    assert 'annotations' not in capfd.readouterr().out and not logged  # pycocotools would report here
    assert len(dataset) == 5 and dataset.task == 'segmentation'
    assert dataset.metainfo['classes'] == ('lesion',)
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
    with pytest.raises(ValueError, match=r'no slices of .*lesions\.json remain: 5 before filtering, 3 of them with lesions'):
        build(two_task_root, filter_cfg=dict(min_size=25))


def test_degenerate_lesions_are_ignored(two_task_root):
    def spoil(content):
        content['annotations'][2].update(bbox=[40, 5, 8, 8])  # image 3: outside
        content['annotations'][3].update(segmentation=[[5, 5, 9, 9, 5, 5]])  # image 4: an outline without area
        content['annotations'][0].update(iscrowd=1)  # image 1 keeps its second lesion

    edit(two_task_root, spoil)
    dataset = build(two_task_root, filter_cfg=dict(filter_empty_gt=True), pipeline=PIPELINE)
    assert len(dataset) == 1
    sample = dataset[0]['data_samples']
    assert len(sample.gt_instances) == 1 and len(sample.ignored_instances) == 1

    edit(two_task_root, lambda content: content['annotations'][1].update(ignore=1))
    with pytest.raises(ValueError, match='no slices .* remain'):
        build(two_task_root, filter_cfg=dict(filter_empty_gt=True))


def test_two_classes(two_task_root):
    """Category ids may differ from labels, and labels follow the order of the names."""

    def two(content):
        content['categories'] = [dict(id=7, name='GGO'), dict(id=3, name='Consolidation')]
        for annotation, category in zip(content['annotations'], (7, 3, 3, 7)):
            annotation['category_id'] = category

    edit(two_task_root, two)
    dataset = build(two_task_root, metainfo=dict(classes=['GGO', 'Consolidation']))
    labels = [[lesion['bbox_label'] for lesion in dataset.get_data_info(i)['instances']] for i in range(5)]
    assert labels == [[0, 1], [], [1], [0], []]
    swapped = build(two_task_root, metainfo=dict(classes=['Consolidation', 'GGO']))  # by name, whatever the order
    assert [[lesion['bbox_label'] for lesion in swapped.get_data_info(i)['instances']] for i in (0, 2, 3)] == [[1, 0], [0], [1]]
    for classes in (('GGO',), ('lesion',), ('GGO', 'Consolidation', 'Effusion')):
        with pytest.raises(
            ValueError,
            match=r"categories \('GGO', 'Consolidation'\).*classes \('"
            + classes[0]
            + r".*set lesion_classes=\['GGO', 'Consolidation'\].*num_classes=2",
        ):
            build(two_task_root, metainfo=dict(classes=classes))


@pytest.mark.parametrize(
    'change, match',
    [
        (lambda c: c.pop('images'), 'no list "images"'),
        (lambda c: c['images'][1].pop('width'), r'images\[1\] of .*lesions.json lacks width'),
        (lambda c: c['images'][1].update(id=1), r'images\[1\] .*repeats the id 1'),
        (lambda c: c['annotations'][3].pop('id'), r'annotations\[3\] .*lacks id'),
        (lambda c: c['annotations'][3].update(id=1), r'annotations\[3\] .*repeats the id 1'),
        (lambda c: c['annotations'][3].update(image_id=99), r'annotations\[3\] .*unknown image_id 99'),
        (lambda c: c['annotations'][3].update(category_id=2), r'annotations\[3\] .*unknown category_id 2'),
        (lambda c: c['categories'].append(dict(id=1, name='lesion')), 'categories'),
        (lambda c: c.update(images=[], annotations=[]), 'no slices .* remain: 0 before filtering'),
    ],
)
def test_broken_files(two_task_root, change, match):
    edit(two_task_root, change)
    with pytest.raises(ValueError, match=match):
        build(two_task_root)


def test_shared_category_id(two_task_root):
    edit(two_task_root, lambda c: c['categories'].append(dict(id=1, name='other')))
    with pytest.raises(ValueError, match='share an id'):
        build(two_task_root, metainfo=dict(classes=('lesion', 'other')))


def test_missing_file_names_the_converter(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'lesions\.json\. Correct ann_file or data_root, .*mmaffinity convert'):
        build(tmp_path)


def test_broken_image_names_its_row(two_task_root):
    dataset = build(two_task_root, pipeline=PIPELINE)
    (two_task_root / 'image' / 'lesion_3.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'lesion_3\.png is empty.*row 3 of .*lesions\.json'):
        dataset[3]


def test_lazy_init(tmp_path):
    dataset = build(tmp_path, lazy_init=True)  # the file does not exist
    assert dataset.metainfo['classes'] == ('lesion',) and dataset.task == 'segmentation'
    with pytest.raises(FileNotFoundError):
        dataset.full_init()


def roots(*names):
    """Categories as Roboflow writes them: a root that is only their supercategory."""
    return [
        dict(id=0, name='findings', supercategory='none'),
        *(dict(id=index, name=name, supercategory='findings') for index, name in enumerate(names, 1)),
    ]


def test_category_used_only_as_supercategory_is_omitted(two_task_root, logged):
    edit(two_task_root, lambda c: c.update(categories=roots('lesion')))
    dataset = build(two_task_root)
    assert sum(len(dataset.get_data_info(i)['instances']) for i in range(5)) == 4
    assert len(logged) == 1 and "the categories ('findings',) are left out" in logged[0]
    # Roboflow names the root after the project, which may equal the name of the class.
    edit(
        two_task_root,
        lambda c: c.update(
            categories=[dict(id=0, name='lesion', supercategory='none'), dict(id=1, name='lesion', supercategory='lesion')]
        ),
    )
    assert len(build(two_task_root)) == 5


def test_other_categories_are_kept(two_task_root):
    edit(two_task_root, lambda c: c.update(categories=roots('lesion', 'GGO')))  # a class without annotations
    with pytest.raises(ValueError, match=r"has the categories \('lesion', 'GGO'\)"):
        build(two_task_root)
    edit(two_task_root, lambda c: (c.update(categories=roots('lesion')), c['annotations'][0].update(category_id=0)))
    with pytest.raises(ValueError, match=r"has the categories \('findings', 'lesion'\)"):  # the root has an annotation
        build(two_task_root)
    edit(two_task_root, lambda c: c.update(categories=[dict(id=1, name='lesion', supercategory='lesion')]))
    with pytest.raises(ValueError, match='unknown category_id 0'):  # its own supercategory
        build(two_task_root)
    edit(two_task_root, lambda c: c.update(categories=[dict(id=1), dict(id=2)]))
    with pytest.raises(ValueError, match=r"has the categories \('None', 'None'\)"):
        build(two_task_root)


def test_ids_from_zero_with_gaps_and_very_large(two_task_root):
    def renumber(content):
        content['categories'] = [dict(id=0, name='b'), dict(id=2**70, name='a')]
        for image in content['images']:
            image['id'] = image['id'] * 2**65
        for annotation, category in zip(content['annotations'], (0, 2**70, 0, 0)):
            annotation.update(category_id=category, image_id=annotation['image_id'] * 2**65)

    edit(two_task_root, renumber)
    dataset = build(two_task_root, metainfo=dict(classes=('a', 'b')), pipeline=PIPELINE)
    assert dataset[0]['data_samples'].gt_instances.labels.tolist() == [1, 0]


def test_omissions_and_changes_are_logged(two_task_root, logged):
    def spoil(content):
        content['annotations'][0].update(bbox=[400, 5, 8, 8])
        content['annotations'][1].update(bbox=[20, 10, 0, 0], area=0)

    edit(two_task_root, spoil)
    boxes = [lesion['bbox'] for lesion in build(two_task_root).get_data_info(0)['instances']]
    assert boxes == [[20, 10, 26, 16]]
    changed, left_out = logged
    assert (
        'replaced by those of the masks: 1 of 4 (annotations[1])' in changed and 'left out: 1 of 4 (annotations[0])' in left_out
    )


@pytest.mark.parametrize('name', ['image\\lesion_0.png', 'image\\../image/lesion_0.png', './image\\lesion_0.png', 'absolute'])
def test_names_written_on_windows(two_task_root, name):
    name = str(two_task_root / 'image/lesion_0.png') if name == 'absolute' else name
    edit(two_task_root, lambda c: c['images'][0].update(file_name=name))
    assert build(two_task_root, pipeline=PIPELINE)[0]['inputs'].unique().tolist() == [10]


@pytest.mark.skipif(os.name == 'nt', reason='Windows has drives, and no backslashes in names')
def test_names_of_windows_drives_and_with_backslashes(two_task_root):
    odd = two_task_root / 'image' / 'a\\b.png'
    odd.write_bytes((two_task_root / 'image/lesion_3.png').read_bytes())
    edit(two_task_root, lambda c: c['images'][0].update(file_name='image/a\\b.png'))
    assert build(two_task_root, pipeline=PIPELINE)[0]['inputs'].unique().tolist() == [13]
    edit(two_task_root, lambda c: c['images'][2].update(file_name='C:\\data\\a.png'))
    with pytest.raises(ValueError, match=r'images\[2\] of .* an absolute Windows path: make it relative to'):
        build(two_task_root)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-32'])
def test_other_encodings(two_task_root, encoding):
    path = two_task_root / 'lesions.json'
    path.write_bytes(path.read_text().encode(encoding))
    assert len(build(two_task_root)) == 5


def cases(shared_dir):
    if not (shared_dir / 'cases/coco').is_dir():
        pytest.skip(f'no {shared_dir}/cases/coco')
    return shared_dir / 'cases/coco'


@pytest.mark.parametrize(
    'name', ['k06_crowd_rle', 'k07_float_sizes', 'k08_backslashes', 'k10_roboflow', 'k26_area_zero_mask_fine']
)
def test_reported_variants_equal_the_reference(shared_dir, name):
    """Variants of one file from public reports, with its images, give equal boxes, labels and pixels."""
    root = cases(shared_dir)

    def load(file):
        return build(root, pipeline=PIPELINE, test_mode=True, ann_file=f'{file}.json')

    for want, got in zip(load('k00_ref'), load(name), strict=True):
        want, got = want['data_samples'], got['data_samples']
        assert want.img_path == got.img_path and want.ori_shape == got.ori_shape
        crowd = len(got.ignored_instances)
        assert crowd == (name == 'k06_crowd_rle' and got.img_path.endswith('40/20.jpg'))
        assert len(want.gt_instances) == len(got.gt_instances) + crowd
        assert np.array_equal(want.gt_instances.masks.masks[crowd:], got.gt_instances.masks.masks)
        assert want.gt_instances.bboxes[crowd:].tolist() == got.gt_instances.bboxes.tolist()
