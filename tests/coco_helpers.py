"""Random lesions with detections, as samples and as COCO JSON."""

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmaffinity.evaluation.metrics import LesionCocoMetric
from mmaffinity.structures import SEGMENTATION, SliceDataSample

SIZE = (160, 120)
CLASSES = ('class 0', 'class 1')


def evaluate(samples, metric=('bbox', 'segm'), classes=None, **arguments):
    evaluator = Evaluator(LesionCocoMetric(metric=metric, **arguments))
    evaluator.dataset_meta = classes and dict(classes=classes)
    return evaluator.offline_evaluate(samples, chunk_size=4)


def rectangle(rng):
    top, left = rng.integers(0, 60, 2)
    height, width = rng.integers(10, 60, 2)
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def box_of(mask):
    ys, xs = np.nonzero(mask)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


def xywh(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def encode(mask):
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {**rle, 'counts': rle['counts'].decode()}


def random_run(seed=0, num_images=12, num_classes=2):
    """Return samples, and the same ground truth and results as COCO JSON."""
    rng = np.random.default_rng(seed)
    samples, images, annotations, results = [], [], [], []
    for image_id in range(1, num_images + 1):
        images.append(dict(id=image_id, height=SIZE[0], width=SIZE[1]))
        masks = [rectangle(rng) for _ in range(rng.integers(0, 5))]
        instances = [
            dict(
                bbox=box_of(mask),
                bbox_label=int(rng.integers(num_classes)),
                mask=encode(mask),
                ignore_flag=int(rng.random() < 0.15),
            )
            for mask in masks
        ]
        for mask, instance in zip(masks, instances):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=instance['bbox_label'],
                    iscrowd=instance['ignore_flag'],
                    bbox=xywh(instance['bbox']),
                    segmentation=instance['mask'],
                    area=int(mask.sum()),
                )
            )
        preds = [np.roll(mask, rng.integers(-4, 5), axis=1) for mask in masks if rng.random() < 0.8]
        preds += [rectangle(rng) for _ in range(rng.integers(0, 3))]
        labels, scores = rng.integers(0, num_classes, len(preds)), rng.random(len(preds)).astype(np.float32)
        for mask, label, score in zip(preds, labels, scores):
            results.append(
                dict(
                    image_id=image_id,
                    category_id=int(label),
                    score=float(score),
                    bbox=xywh(box_of(mask)),
                    segmentation=encode(mask),
                )
            )
        sample = SliceDataSample(
            metainfo=dict(task=SEGMENTATION, img_id=image_id, img_path=f'{image_id}.png', ori_shape=SIZE, instances=instances)
        )
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([box_of(mask) for mask in preds], dtype=torch.float32).reshape(-1, 4),
            labels=torch.from_numpy(labels),
            scores=torch.from_numpy(scores),
            masks=torch.from_numpy(np.array(preds).reshape(-1, *SIZE)).bool(),
        )
        samples.append(sample)
    ground_truth = dict(
        images=images, annotations=annotations, categories=[dict(id=c, name=f'class {c}') for c in range(num_classes)]
    )
    return samples, ground_truth, results


def clear_predictions(samples):
    for sample in samples:
        sample.pred_instances = sample.pred_instances[:0]
    return samples
