"""Both implementations of COCO's evaluation give the same numbers."""

import importlib.util

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmaffinity.evaluation.metrics import LesionCocoMetric
from mmaffinity.evaluation.metrics.coco_evaluation import coco_classes
from mmaffinity.structures import SEGMENTATION, SliceDataSample

SIZE = 96
INSTALLED = importlib.util.find_spec('faster_coco_eval') is not None


def ellipse(rng):
    y, x = np.mgrid[:SIZE, :SIZE]
    center, radius = rng.uniform(10, SIZE - 10, 2), rng.uniform(2, 30, 2)
    return ((y - center[0]) / radius[0]) ** 2 + ((x - center[1]) / radius[1]) ** 2 < 1


def box_of(mask):
    ys, xs = np.nonzero(mask)
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


def samples(seed, num=15, empty=False):
    rng = np.random.default_rng(seed)
    result = []
    for index in range(num):
        truth = [ellipse(rng) for _ in range(rng.integers(0, 5))]
        found = [np.roll(mask, rng.integers(-3, 4), 0) for mask in truth if rng.random() < 0.8] if not empty else []
        found += [ellipse(rng) for _ in range(rng.integers(0, 4))] if not empty else []
        rles = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in truth]
        instances = [
            dict(
                bbox=box_of(mask),
                bbox_label=int(rng.integers(2)),
                ignore_flag=int(rng.random() < 0.1),
                mask={**rle, 'counts': rle['counts'].decode()},
            )
            for mask, rle in zip(truth, rles)
        ]
        sample = SliceDataSample(
            metainfo=dict(task=SEGMENTATION, img_id=index, img_path=f'{index}.png', ori_shape=(SIZE, SIZE), instances=instances)
        )
        # Scores with few distinct values: ties are ordered equally.
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([box_of(mask) for mask in found]).reshape(-1, 4),
            labels=torch.from_numpy(rng.integers(0, 2, len(found))),
            scores=torch.from_numpy(rng.integers(1, 9, len(found)) / 9.0),
            masks=torch.from_numpy(np.array(found, bool).reshape(-1, SIZE, SIZE)),
        )
        result.append(sample)
    return result


def evaluate(backend, found):
    evaluator = Evaluator(LesionCocoMetric(metric=['bbox', 'segm'], backend=backend))
    evaluator.process(found)
    return evaluator.evaluate(len(found))


@pytest.mark.skipif(not INSTALLED, reason='faster-coco-eval is not installed')
@pytest.mark.parametrize('seed, empty', [(0, False), (1, False), (2, False), (3, True)])
def test_same_numbers(seed, empty):
    found = samples(seed, empty=empty)
    expected, faster = (evaluate(backend, found) for backend in ('pycocotools', 'faster-coco-eval'))
    assert set(faster) == set(expected) and len(expected) > 6
    assert faster == pytest.approx(expected, abs=1e-12)
    assert empty or 0.05 < expected['coco/segm_mAP_50'] < 1
    assert evaluate('auto', found) == faster


def test_choice_of_backend(monkeypatch):
    assert coco_classes('pycocotools')[0] is COCO
    assert (coco_classes('auto')[0] is COCO) != INSTALLED
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert coco_classes('auto')[0] is COCO
    with pytest.raises(ValueError, match="backend must be one of .*, not 'cocoapi'"):
        LesionCocoMetric(backend='cocoapi')


@pytest.mark.skipif(INSTALLED, reason='faster-coco-eval is installed')
def test_a_missing_backend_is_named():
    with pytest.raises(ValueError, match=r'faster_coco_eval, which is not installed.*mmaffinity\[coco\]'):
        LesionCocoMetric(backend='faster-coco-eval')
