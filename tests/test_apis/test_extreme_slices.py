"""Extreme but valid slices: training in both stages, prediction and scoring."""

import json
import math

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from pycocotools import mask as mask_utils
from run_helpers import small_config

from mmaffinity.structures import CLASSIFICATION, SEGMENTATION

SIZE = 128


def picture(kind):
    """Grey levels and lesion masks."""
    grey = np.random.RandomState(0).randint(0, 256, (SIZE, SIZE)).astype(np.uint8)
    masks = [(10, 20, 40, 60)]  # x1 y1 x2 y2
    if kind == 'all black':
        grey[:] = 0
    elif kind == 'all white':
        grey[:] = 255
    elif kind == 'one lesion over the whole picture':
        masks = [(0, 0, SIZE, SIZE)]
    elif kind == '500 lesions':
        masks = [(x, y, x + 3, y + 3) for y in range(0, 125, 5) for x in range(0, 100, 5)]
    elif kind == '1 x 1 mask':
        masks = [(77, 33, 78, 34)]
    return grey, masks


def write(root, kind):
    grey, masks = picture(kind)
    cv2.imwrite(str(root / 'slice.png'), grey)
    coco = dict(
        images=[dict(id=1, file_name='slice.png', width=SIZE, height=SIZE)],
        categories=[dict(id=1, name='lesion')],
        annotations=[],
    )
    for number, (x1, y1, x2, y2) in enumerate(masks):
        mask = np.zeros((SIZE, SIZE), np.uint8, order='F')
        mask[y1:y2, x1:x2] = 1
        rle = mask_utils.encode(mask)
        coco['annotations'].append(
            dict(
                id=number + 1,
                image_id=1,
                category_id=1,
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=int(mask.sum()),
                iscrowd=0,
                segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
            )
        )
    (root / 'lesions.json').write_text(json.dumps(coco))
    (root / 'slices.json').write_text(
        json.dumps(
            dict(metainfo=dict(slice_classes=['Normal', 'CP', 'COVID-19']), data_list=[dict(img_path='slice.png', label=2)])
        )
    )
    return len(masks)


@pytest.mark.parametrize(
    'kind, normalization',
    [
        ('all black', 'global'),
        ('all black', 'slice'),
        ('all white', 'global'),
        ('all white', 'slice'),
        ('one lesion over the whole picture', 'global'),
        ('500 lesions', 'global'),
        ('1 x 1 mask', 'global'),
    ],
)
def test_extreme_slices_train_and_predict(kind, normalization, repo_root, tmp_path):
    lesions = write(tmp_path, kind)
    assert lesions == (500 if kind == '500 lesions' else 1)
    known = {'mean': 0.3, 'std': 0.3} if normalization == 'global' else {}
    config = small_config(
        repo_root,
        tmp_path,
        **{
            'model.data_preprocessor.normalization': normalization,
            'model.data_preprocessor.statistics': None,
            **{f'model.data_preprocessor.{key}': value for key, value in known.items()},
        },
    )
    init_default_scope('mmdet')
    parts = [part for loader in (config.train_dataloader, config.test_dataloader) for part in loader.dataset.datasets]
    items = []
    for part in parts:
        part.ann_file = 'lesions.json' if part.type == 'LesionDataset' else 'slices.json'
        items.append(DATASETS.build(part)[0])
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    for stage, item in zip((SEGMENTATION, CLASSIFICATION), items):
        model.train()
        model.set_stage(stage)
        assert item['data_samples'].task == stage
        if stage == SEGMENTATION:
            assert len(item['data_samples'].gt_instances) == lesions
        losses = model.train_step(pseudo_collate([item]), optimizer)
        assert losses['loss'].detach() > 0 and all(math.isfinite(value.detach()) for value in losses.values()), losses
        assert all(torch.isfinite(value).all() for value in model.state_dict().values())
        if stage == SEGMENTATION:
            model.copy_branch()
    model.eval()
    with torch.no_grad():
        samples = model.test_step(pseudo_collate(items[2:]))
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dict(slice_classes=['Normal', 'CP', 'COVID-19'], classes=['lesion'])
    evaluator.process(samples, {})
    metrics = evaluator.evaluate(len(samples))
    right = [sample.pred_slice.label.item() == sample.gt_slice.label.item() for sample in samples if 'gt_slice' in sample]
    assert metrics['slice/accuracy'] == pytest.approx(sum(right) / len(right)) and 0 <= metrics['lesion/AP50'] <= 1
    for sample in samples:
        assert sample.pred_instances.masks.shape[1:] == (SIZE, SIZE)
        assert ((sample.pred_slice.score >= 0) & (sample.pred_slice.score <= 1)).all()  # NaN is neither
