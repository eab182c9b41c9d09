"""Synthetic slices and predictions."""

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from mmaffinity.structures import SliceDataSample


def boxes_to_masks(boxes, shape):
    masks = np.zeros((len(boxes), *shape), dtype=bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes):
        mask[y1:y2, x1:x2] = True
    return masks


@pytest.fixture
def make_sample():
    """A sample with given predicted and true boxes, whose masks fill the boxes, and K class probabilities."""

    def make(predicted=None, scores=None, true=None, shape=(512, 512), probabilities=(0.1, 0.2, 0.9), truth=2, **meta):
        meta = dict(dict(img_path='/data/NCP/12/345/0034.png', patient_id='12', scan_id='345', task='segmentation'), **meta)
        sample = SliceDataSample(metainfo=meta)
        if predicted is not None:
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor(predicted, dtype=torch.float32).reshape(-1, 4),
                scores=torch.tensor(scores if scores is not None else [0.9] * len(predicted)),
                labels=torch.zeros(len(predicted), dtype=torch.long),
                masks=torch.from_numpy(boxes_to_masks(predicted, shape)),
            )
        if true is not None:
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor(true, dtype=torch.float32).reshape(-1, 4),
                labels=torch.zeros(len(true), dtype=torch.long),
                masks=torch.from_numpy(boxes_to_masks(true, shape)),
            )
        if probabilities is not None:
            score = torch.tensor(probabilities)
            sample.pred_slice = BaseDataElement(label=score.argmax()[None], score=score, logits=score.logit())
        if truth is not None:
            sample.gt_slice = BaseDataElement(label=torch.tensor([truth]))
        return sample

    return make
