"""Slice heads on stored RoIs: extracted, trained, merged with the detector, and equal to it."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from model_helpers import NARROW

from mmaffinity.apis import stored_rois, test_model, train_model
from mmaffinity.apis.stored_rois import extract_rois, load_detector, merge_head
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.utils.config import load_config

SMALL = {
    **{f'model.{key}': value for key, value in NARROW.items() if 'refinement' not in key},
    'model.roi_head.cls_head.in_channels': 32,
    'image_size': (64, 64),
    'model.test_cfg.rpn.max_per_img': 30,
}
HEAD = {
    'model.roi_head.cls_head.in_channels': 32,
    'model.roi_head.cls_head.fc_channels': (12, 12),
    'train_cfg.max_epochs': 2,
    'train_dataloader.batch_size': 8,
}
NO_VAL = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}
THREE = {'model.roi_head.cls_head.num_classes': 3}


@pytest.fixture(scope='module')
def roots(tiny_phantom):
    root = str(tiny_phantom / 'cncb_ncov')
    lesions = {f'{loader}_dataloader.dataset.datasets.0.data_root': root for loader in ('train', 'test')}
    workers = {
        f'{loader}_dataloader.{key}': value
        for loader in ('train', 'test')
        for key, value in (('num_workers', 0), ('persistent_workers', False))
    }
    return {'data_root': root, **lesions, **workers}


@pytest.fixture(scope='module')
def detector(repo_root, roots, tmp_path_factory):
    """The config of a narrow detector, and a Mask R-CNN's weights for it."""
    folder = tmp_path_factory.mktemp('detector')
    config = load_config(repo_root / 'configs/public/affinity_c8_from_scratch.py', {**SMALL, **THREE, **roots, **NO_VAL})
    lesions = load_config(
        repo_root / 'configs/public/mask_rcnn_folders.py',
        {key: value for key, value in {**SMALL, **NO_VAL}.items() if 'cls_head' not in key},
    )
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(lesions.model)
    model.init_weights()
    weights = folder / 'mask_rcnn.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=('lesion',)))), weights)
    return config, weights


@pytest.fixture(scope='module')
def stored(detector, tmp_path_factory):
    seen = []
    folder = extract_rois(*detector, tmp_path_factory.mktemp('stored') / 'rois', progress=lambda *done: seen.append(done))
    assert seen[-1][0] == seen[-1][1] == len(json.loads((folder / 'rois.json').read_text())['slices'])
    return folder


def test_a_fold_stores_the_slices_of_its_training_and_test(repo_root, roots, detector, tmp_path):
    config = load_config(
        repo_root / 'configs/public/affinity_c8_from_scratch.py', {**SMALL, **THREE, **roots, 'folds': 2, 'fold': 1}
    )
    folder = extract_rois(config, detector[1], tmp_path / 'rois')
    used = set()
    for loader in (config.train_dataloader, config.test_dataloader):
        dataset = DATASETS.build({**loader.dataset.datasets[1], 'pipeline': []})
        used |= {dataset.get_data_info(index)['img_path'] for index in range(len(dataset))}
    assert set(json.loads((folder / 'rois.json').read_text())['slices']) == used


def head_config(repo_root, roots, stored, name='roi_head_c8_folders', **extra):
    config = load_config(
        repo_root / f'configs/public/{name}.py',
        {**HEAD, **THREE, **NO_VAL, 'data_root': roots['data_root'], **extra},
    )
    for loader in ('train_dataloader', 'test_dataloader'):
        config[loader].dataset.pipeline[0].folder = str(stored)
    return config


def test_head_on_stored_rois_agrees_with_the_merged_model(repo_root, roots, detector, stored, tmp_path):
    config = head_config(repo_root, roots, stored)
    train_model(config, tmp_path / 'head', verbose=False)
    alone = test_model(config, tmp_path / 'head/epoch_2.pth', tmp_path / 'head', tmp_path / 'head.json', verbose=False)
    joined = merge_head(*detector, tmp_path / 'head/epoch_2.pth', tmp_path / 'joined.pth')
    whole = test_model(detector[0], joined, tmp_path / 'joined', tmp_path / 'joined.json', verbose=False)
    assert alone['slice/accuracy'] == whole['slice/accuracy'] and 'lesion/mAP' in whole
    first, second = (
        {record['rel_path']: record['logits'] for record in json.loads((tmp_path / name).read_text())['slices']}
        for name in ('head.json', 'joined.json')
    )
    assert list(first) == list(second) and len(first) > 3
    np.testing.assert_allclose(list(first.values()), list(second.values()), atol=5e-3)  # features are stored as float16
    meta = load_checkpoint(joined)['meta']['dataset_meta']
    assert meta['classes'] == ('lesion',) and len(meta['slice_classes']) == 3


def test_the_whole_slice_is_stored_last(repo_root, roots, detector, stored, tmp_path):
    config = load_config(
        repo_root / 'configs/public/affinity_c8_slice_roi_from_scratch.py', {**SMALL, **THREE, **roots, **NO_VAL}
    )
    folder = extract_rois(config, detector[1], tmp_path / 'rois')
    path = json.loads((folder / 'rois.json').read_text())['slices'][3]
    load = dict(type='LoadStoredRoIs', folder=str(folder))
    every, shuffled, last, ranked = (
        TRANSFORMS.build(transform)(dict(img_path=path))['inputs']
        for transform in (load, dict(load, shuffle=True), dict(load, keep='slice'), dict(load, folder=str(stored)))
    )
    assert every['boxes'].shape == (9, 4) and every['boxes'][-1].tolist() == [0.0, 0.0, 64.0, 64.0]
    torch.testing.assert_close(every['boxes'][:-1], ranked['boxes'])
    for name, value in every.items():
        assert torch.equal(last[name], value[-1:]) and torch.equal(shuffled[name][-1], value[-1])
    assert not torch.equal(shuffled['boxes'], every['boxes'])

    head = head_config(repo_root, roots, folder, name='roi_head_c8_slice_roi_folders')
    train_model(head, tmp_path / 'head', verbose=False)
    test_model(head, tmp_path / 'head/epoch_2.pth', tmp_path / 'head', tmp_path / 'head.json', verbose=False)
    joined = merge_head(config, detector[1], tmp_path / 'head/epoch_2.pth', tmp_path / 'joined.pth')
    test_model(config, joined, tmp_path / 'joined', tmp_path / 'joined.json', verbose=False)
    first, second = (
        [record['logits'] for record in json.loads((tmp_path / name).read_text())['slices']]
        for name in ('head.json', 'joined.json')
    )
    np.testing.assert_allclose(first, second, atol=5e-3)

    only = head_config(repo_root, roots, folder, name='roi_head_slice_only_folders')
    train_model(only, tmp_path / 'only', verbose=False)


def test_mirror_images_are_stored_and_trained_on(repo_root, roots, detector, stored, tmp_path):
    config = load_config(
        repo_root / 'configs/public/affinity_c8_slice_roi_from_scratch.py', {**SMALL, **THREE, **roots, **NO_VAL}
    )
    plain = extract_rois(config, detector[1], tmp_path / 'plain')
    folder = extract_rois(config, detector[1], tmp_path / 'rois', flip=True)
    number = len(json.loads((folder / 'rois.json').read_text())['slices'])
    for name in ('boxes', 'scores', 'deltas', 'mask_features'):
        both, alone = np.load(folder / f'{name}.npy'), np.load(plain / f'{name}.npy')
        assert len(both) == 2 * number == 2 * len(alone)
        np.testing.assert_array_equal(both[:number], alone)
    # By hand, for one slice:
    model, leaf = load_detector(config, detector[1]), config.test_dataloader.dataset.datasets[1]
    dataset = DATASETS.build(leaf)
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    row = json.loads((folder / 'rois.json').read_text())['slices'].index(paths[-1])
    data = model.data_preprocessor(pseudo_collate([dataset[len(dataset) - 1]]))
    with torch.no_grad():
        x, samples = model.extract_feat(data['inputs'].flip(-1)), data['data_samples']
        rois = model.roi_head.rank_rois(x, model._propose(x, samples), [samples[0].metainfo])
    np.testing.assert_allclose(np.load(folder / 'boxes.npy')[number + row], rois.boxes[0], atol=1e-3)
    np.testing.assert_allclose(np.load(folder / 'mask_features.npy')[number + row], rois.mask_features[0], atol=5e-3)
    train_model(
        head_config(repo_root, roots, folder, name='roi_head_c8_slice_roi_flipped_folders'), tmp_path / 'head', verbose=False
    )


def test_padding_is_not_mirrored():
    x = torch.arange(12.0).reshape(2, 1, 1, 6)
    samples = [DetDataSample(metainfo=dict(img_shape=(1, width))) for width in (4, 6)]
    mirrored = stored_rois._mirrored(x, samples)
    assert mirrored.flatten(1).tolist() == [[3, 2, 1, 0, 4, 5], [11, 10, 9, 8, 7, 6]]
    assert x.flatten().tolist() == list(range(12))


def test_frozen_parts_and_the_order_of_rois(repo_root, roots, stored, tmp_path):
    config = head_config(repo_root, roots, stored, **{'model.frozen_parts': ['roi_head.cls_head.affinity']})
    config.train_dataloader.dataset.pipeline[0].shuffle = True
    runner = train_model(config, tmp_path, verbose=False)
    torch.testing.assert_close(runner.model.cls_head.affinity.roi_weights, torch.ones(8), rtol=1e-4, atol=1e-4)
    plain, shuffled = config.test_dataloader.dataset.pipeline[0], config.train_dataloader.dataset.pipeline[0]
    path = json.loads((stored / 'rois.json').read_text())['slices'][3]
    first, second = (TRANSFORMS.build(transform)(dict(img_path=path))['inputs'] for transform in (plain, shuffled))
    assert not torch.equal(first['boxes'], second['boxes'])
    order = [next(k for k in range(8) if torch.equal(first['deltas'][k], row)) for row in second['deltas']]
    torch.testing.assert_close(first['mask_features'][order], second['mask_features'])


def test_invalid_arguments(repo_root, roots, detector, stored, tmp_path):
    config, weights = detector
    with pytest.raises(FileExistsError, match='contains an earlier result'):
        extract_rois(config, weights, stored)
    with pytest.raises(ValueError, match='does not rank RoIs'):
        extract_rois(repo_root / 'configs/public/mask_rcnn_folders.py', weights, tmp_path / 'rois')
    with pytest.raises(ValueError, match='does not match the config'):
        extract_rois(repo_root / 'configs/public/affinity_c8_from_scratch.py', weights, tmp_path / 'rois')
    with pytest.raises(ValueError, match='slice head of .* does not match'):
        merge_head(config, weights, weights, tmp_path / 'joined.pth')
    with pytest.raises(FileNotFoundError, match='mmaffinity rois extract'):
        train_model(head_config(repo_root, roots, tmp_path), tmp_path / 'run', verbose=False)
    assert not (tmp_path / 'joined.pth').exists() and not (tmp_path / 'rois').exists()
