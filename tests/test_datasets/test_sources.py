"""Checks before a run that the files of a config's data sets exist."""

import json
import shutil

import pytest

from mmaffinity.datasets.sources import check_sources
from mmaffinity.utils.config import load_config


def folders(root, *classes):
    return dict(type='SliceFolderDataset', data_root=str(root), slice_classes=classes)


def listed(root, kind='SliceDataset', **extra):
    return dict(type=kind, data_root=str(root), ann_file='list.json', **extra)


@pytest.fixture
def root(tmp_path):
    for name in ('full', 'empty'):
        (tmp_path / name).mkdir()
    (tmp_path / 'full/a.png').touch()
    return tmp_path


def test_nothing_is_read(root):
    """Neither lists nor slices are read, because they may be long and have their own errors."""
    (root / 'list.json').write_text('not JSON')
    (root / 'statistics').mkdir()
    check_sources(dict(type='MultiTaskDataset', datasets=[listed(root), listed(root, 'LesionDataset'), folders(root, 'full')]))
    check_sources(dict(type='RepeatDataset', times=2, dataset=listed(root)))
    check_sources(None)
    check_sources(dict(type='OfAnotherPackage', path='nowhere'))


@pytest.mark.parametrize('kind', ['SliceDataset', 'LesionDataset'])
def test_missing_lists(kind, root):
    missing = listed(root, kind)
    for config in (missing, dict(type='MultiTaskDataset', datasets=[folders(root, 'full'), missing])):
        with pytest.raises(FileNotFoundError, match='file with .* not found: .*list.json'):
            check_sources(config)
    with pytest.raises(FileNotFoundError, match='data root .*nowhere does not exist'):
        check_sources(listed(root / 'nowhere', kind))


def test_folders_of_classes(root):
    with pytest.raises(FileNotFoundError, match='no such folder of slices: .*other'):
        check_sources(folders(root, 'full', 'other'))
    with pytest.raises(ValueError, match='folder .*empty contains no image'):
        check_sources(folders(root, 'full', 'empty'))
    (root / 'empty/._a.png').touch()
    with pytest.raises(ValueError, match='folder .*empty contains no image'):
        check_sources(folders(root, 'empty'))


HEADS = dict(
    type='AffinityRCNN',
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1), cls_head=dict(num_classes=3)),
)


def lesions(root, *names, **extra):
    (root / 'lesions.json').write_text(
        json.dumps(dict(images=[], annotations=[], categories=[dict(id=index, name=name) for index, name in enumerate(names)]))
    )
    return dict(type='LesionDataset', data_root=str(root), ann_file='lesions.json', metainfo=dict(classes=names), **extra)


def slices(root, *names, **extra):
    (root / 'slices.json').write_text(json.dumps(dict(metainfo=dict(slice_classes=names), data_list=[])))
    return dict(type='SliceDataset', data_root=str(root), ann_file='slices.json', **extra)


def heads(lesion_classes=None, slice_classes=None):
    """A model with as many classes, wherever it counts them."""
    boxes = {} if lesion_classes is None else {name: dict(num_classes=lesion_classes) for name in ('bbox_head', 'mask_head')}
    return dict(roi_head=boxes, **({} if slice_classes is None else dict(cls_head=dict(num_classes=slice_classes))))


@pytest.mark.parametrize('names, number', [(('a',), 2), (('a', 'b'), 1), (('a', 'b', 'c'), 2), (('a', 'b'), 3)])
def test_classes_of_data_and_model(root, names, number):
    for wrap in (
        lambda x: x,
        lambda x: dict(type='RepeatDataset', dataset=x),
        lambda x: dict(type='ConcatDataset', datasets=[x]),
    ):
        check_sources(wrap(lesions(root, *names)), heads(len(names)))
        check_sources(wrap(lesions(root, *names)), heads(None, number))  # a slice classifier ignores lesions
        with pytest.raises(
            ValueError,
            match=rf'lesions.json has {len(names)} lesion class.* model.roi_head.bbox_head.num_'
            rf'classes={number}, model.roi_head.mask_head.num_classes={number}: set .*={len(names)}',
        ):
            check_sources(wrap(lesions(root, *names)), heads(number))
        for kind in (slices(root, *names), slices(root, *names, slice_classes=names)):
            check_sources(wrap(kind), heads(number, len(names)))
            with pytest.raises(
                ValueError,
                match=rf'slices.json has {len(names)} slice class.* model.cls_head.num_classes='
                rf'{number}',
            ):
                check_sources(wrap(kind), heads(1, number))


def test_classes_of_folders_and_of_other_packages(root):
    (root / 'empty/a.png').touch()
    check_sources(folders(root, 'full', 'empty'), heads(1, 2))
    with pytest.raises(ValueError, match='2 slice classes .full, empty., but .*num_classes=3'):
        check_sources(folders(root, 'full', 'empty'), heads(1, 3))
    with pytest.raises(ValueError, match='x.json has 80 lesion classes'):  # its own classes, not those of the file
        check_sources(dict(type='CocoDataset', ann_file='x.json'), heads(1))
    check_sources(dict(type='CocoDataset', ann_file='x.json', metainfo=dict(classes=('lesion',))), heads(1))


def test_heads_in_lists_and_of_one_mask_for_all(root):
    cascade = dict(
        roi_head=dict(bbox_head=[dict(num_classes=2), dict(num_classes=1)], mask_head=dict(num_classes=1, class_agnostic=True)),
        rpn_head=dict(num_classes=1),
    )
    with pytest.raises(ValueError, match=r'with model.roi_head.bbox_head.1.num_classes=1: set'):
        check_sources(lesions(root, 'a', 'b'), cascade)


def test_categories_of_the_file_and_classes_of_the_config(root):
    data = lesions(root, 'GGO', 'Consolidation')
    with pytest.raises(ValueError, match=r"has the categories \('GGO', 'Consolidation'\), but .*\('lesion',\)"):
        check_sources(dict(data, metainfo=dict(classes=('lesion',))), HEADS)
    with pytest.raises(ValueError, match=r"has the slice classes \('a', 'b'\), but the config has \('a', 'b', 'c'\)"):
        check_sources(slices(root, 'a', 'b', slice_classes=('a', 'b', 'c')), HEADS)


def test_configs_match_their_data(repo_root, tiny_phantom):
    for name, kind in (
        ('affinity_c8_phantom', 'cncb_ncov'),
        ('affinity_c8_phantom_ictcf', 'ictcf'),
        ('baselines/resnet18_slice_phantom', 'cncb_ncov'),
        ('baselines/mask_rcnn_full_phantom', 'cncb_ncov'),
        ('baselines/covid_ct_mask_net_phantom', 'cncb_ncov'),
        ('baselines/vgg16_ictcf_phantom', 'ictcf'),
    ):
        config = load_config(repo_root / f'configs/{name}.py', dict(data_root=str(tiny_phantom / kind)))
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            check_sources((config.get(loader) or {}).get('dataset'), config.model)
    assert config.model.cls_head.num_classes == 2


@pytest.mark.parametrize(
    'name, changes, words',
    [
        (
            'baselines/resnet18_slice_phantom',
            dict(slice_classes=None),
            '2 slice classes .A, B., .* model.cls_head.num_classes=3',
        ),
        (
            'baselines/vgg16_ictcf_phantom',
            {'slice_classes': None, 'model.cls_head.num_classes': 4},
            'model.cls_head.num_classes=4',
        ),
        ('baselines/single_shot_phantom', dict(slice_classes=None), 'model.roi_head.cls_head.num_classes=3'),
        (
            'baselines/mask_rcnn_full_phantom',
            {'model.roi_head.bbox_head.num_classes': 2},
            'model.roi_head.bbox_head.num_classes=2',
        ),
    ],
)
def test_class_mismatch_is_reported_before_the_run(repo_root, tmp_path, name, changes, words):
    """In training and testing and for baselines, before hours are spent."""
    from mmaffinity.apis import test_model, train_model

    root = tmp_path / 'data'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val', 'test'):
        slices(root / 'annotations', 'A', 'B'), lesions(root / 'annotations', 'lesion')
        for kind in ('slices', 'lesions'):
            shutil.copy(root / f'annotations/{kind}.json', root / f'annotations/{kind}_{split}.json')
    config = load_config(repo_root / f'configs/{name}.py', dict(changes, data_root=str(root)))
    config.load_from = None
    with pytest.raises(ValueError, match=words):
        train_model(config, work_dir=tmp_path / 'work')
    (tmp_path / 'epoch_1.pth').touch()
    with pytest.raises(ValueError, match=words):
        test_model(config, tmp_path / 'epoch_1.pth', work_dir=tmp_path / 'work')
    assert not (tmp_path / 'work').exists()


def test_missing_sources_are_reported_before_the_run(repo_root, tmp_path, capfd):
    """There is no work directory and no log, only one error message."""
    from mmaffinity.apis import test_model, train_model

    config = load_config(repo_root / 'configs/affinity_c8.py', dict(data_root=str(tmp_path / 'nowhere')))
    with pytest.raises(FileNotFoundError, match='data root .*nowhere does not exist'):
        train_model(config, work_dir=tmp_path / 'work')
    (tmp_path / 'epoch_1.pth').touch()
    with pytest.raises(FileNotFoundError, match='data root .*nowhere does not exist'):
        test_model(config, tmp_path / 'epoch_1.pth', work_dir=tmp_path / 'work')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint .*epoch_2.pth; .* contains epoch_1.pth$'):
        test_model(config, tmp_path / 'epoch_2.pth', work_dir=tmp_path / 'work')
    with pytest.raises(FileNotFoundError, match='train the model first: mmaffinity train affinity_c8$'):
        test_model(config, tmp_path / 'away/epoch_2.pth', work_dir=tmp_path / 'work')
    assert not (tmp_path / 'work').exists()
    said = capfd.readouterr()
    assert len((said.out + said.err).splitlines()) < 5
