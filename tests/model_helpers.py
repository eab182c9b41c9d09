"""A small, fast affinity model and samples for the tests of the models."""

from collections.abc import Sequence
from pathlib import Path

import mmaffinity.framework  # noqa: F401  (before mmdet.models, which needs its operations)

# isort: split
import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

import mmaffinity.engine  # noqa: F401  (registers the hooks)
import mmaffinity.models  # noqa: F401  (registers the models)
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION, SliceDataSample

MODEL_CONFIG = Path(__file__).resolve().parent.parent / 'configs' / '_base_' / 'models' / 'affinity_rcnn_r18.py'
SIZE = 128
LESIONS = ((20.0, 24.0, 60.0, 70.0), (70.0, 80.0, 112.0, 100.0), (64.0, 16.0, 80.0, 40.0))
# The architecture of the published model with narrow layers: same modules, same parameter names.
NARROW = {
    'backbone.base_channels': 8,
    'neck.in_channels': [32],
    'neck.out_channels': 16,
    'rpn_head.in_channels': 16,
    'rpn_head.feat_channels': 16,
    'roi_head.bbox_roi_extractor.out_channels': 16,
    'roi_head.mask_roi_extractor.out_channels': 16,
    'roi_head.bbox_head.in_channels': 16,
    'roi_head.bbox_head.fc_out_channels': 24,
    'roi_head.mask_head.in_channels': 16,
    'roi_head.mask_head.conv_out_channels': 16,
    'roi_head.cls_head.in_channels': 16,
    'roi_head.cls_head.refinement.mid_channels': 8,
    'roi_head.cls_head.fc_channels': (12, 12),
}

# Overrides of a config of the affinity model: NARROW, on small slices with few proposals.
FAST = {
    **{f'model.{key}': value for key, value in NARROW.items()},
    'image_size': (64, 64),
    'model.train_cfg.rcnn.sampler.num': 16,
    'model.test_cfg.rpn.max_per_img': 30,
    'model.train_cfg.rpn_proposal.max_per_img': 30,
}

# Overrides of :func:`build_model` for pooled mask features.
POOLED = {
    'roi_head.mask_feature_head.type': 'PooledMaskFeatureHead',
    'roi_head.cls_head.type': 'AffinityClsHead',
    'roi_head.cls_head.in_channels': 32,
    'roi_head.cls_head.roi_size': 1,
    'roi_head.cls_head.refinement': False,
    'roi_head.cls_head.norm_cfg': dict(type='BN'),
}


def model_config(overrides: dict | None = None, narrow: bool = True) -> ConfigDict:
    """Read the model of the base config; ``overrides`` by dotted key below ``model``."""
    config = Config.fromfile(MODEL_CONFIG)
    changes = {
        'backbone.init_cfg': None,
        'data_preprocessor.mean': 0.4,
        'data_preprocessor.std': 0.25,
        **(NARROW if narrow else {}),
        **(overrides or {}),
    }
    config.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    return config.model


def build_model(overrides: dict | None = None, narrow: bool = True, seed: int = 0) -> nn.Module:
    """Build and initialise a model with spread scores, so that no rank depends on the last bit."""
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    model = MODELS.build(model_config(overrides, narrow))
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        for layer in (model.rpn_head.rpn_cls, model.rpn_head.rpn_reg):
            layer.weight.mul_(10)
        model.roi_head.bbox_head.fc_cls.weight.mul_(10)
        model.roi_head.bbox_head.fc_reg.weight.mul_(50)
    model.roi_head.copy_branch()
    return model


def slice_sample(label: int = 2, size: int = SIZE, **meta) -> SliceDataSample:
    """A slice with a class, for the classification stage."""
    sample = SliceDataSample(metainfo=_meta(CLASSIFICATION, size, **meta))
    sample.gt_slice = BaseDataElement(label=torch.tensor([label]))
    return sample


def lesion_sample(boxes: Sequence[Sequence[float]] = LESIONS, size: int = SIZE, **meta) -> SliceDataSample:
    """A slice with a rectangular lesion per box, for the segmentation stage."""
    sample = SliceDataSample(metainfo=_meta(SEGMENTATION, size, **meta))
    masks = np.zeros((len(boxes), size, size), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.zeros(len(boxes), dtype=torch.long),
        masks=BitmapMasks(masks, size, size),
    )
    return sample


def _meta(stage: str, size: int, **meta) -> dict:
    return {
        **dict(
            task=stage, img_id=0, img_path='slice.png', img_shape=(size, size), ori_shape=(size, size), scale_factor=(1.0, 1.0)
        ),
        **meta,
    }


def images(num: int = 1, size: int = SIZE, seed: int = 0) -> list:
    """Grey slices (1, size, size) of smooth random blobs, uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(num, 1, 12, 12, generator=generator)
    smooth = nn.functional.interpolate(coarse, (size, size), mode='bicubic').clamp(0, 1)
    return list((smooth * 255).round().to(torch.uint8))


def batch(*samples: SliceDataSample, seed: int = 0) -> dict:
    """Collate samples like a data loader."""
    return dict(inputs=images(len(samples), samples[0].img_shape[0], seed), data_samples=list(samples))


def total(losses: dict) -> Tensor:
    """Sum the losses that MMEngine sums."""
    return sum(sum(value) if isinstance(value, list) else value for name, value in losses.items() if 'loss' in name)


def allow_float64(monkeypatch) -> None:
    """Let a float64 model use MMDetection's mask pasting, which supports only float32."""
    paste = fcn_mask_head._do_paste_mask
    monkeypatch.setattr(
        fcn_mask_head, '_do_paste_mask', lambda masks, boxes, *args, **kw: paste(masks.float(), boxes.float(), *args, **kw)
    )


def brute_force_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list:
    """Return the indices kept by NMS, best first, with plain loops."""

    def area(box):
        return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])

    boxes = boxes.double().tolist()
    kept = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        for j in kept:
            both = area(
                [
                    max(boxes[i][0], boxes[j][0]),
                    max(boxes[i][1], boxes[j][1]),
                    min(boxes[i][2], boxes[j][2]),
                    min(boxes[i][3], boxes[j][3]),
                ]
            )
            union = area(boxes[i]) + area(boxes[j]) - both
            if union > 0 and both / union > threshold:
                break
        else:
            kept.append(i)
    return kept


def decode_by_hand(priors: Tensor, deltas: Tensor, size: tuple, stds: Sequence[float]) -> Tensor:
    """Boxes from deltas, one at a time in float64, clipped to an image of ``size`` (height, width)."""
    limit = np.log(1000 / 16)
    decoded = []
    for (x1, y1, x2, y2), delta in zip(priors.double().tolist(), deltas.double().tolist()):
        dx, dy, dw, dh = (d * s for d, s in zip(delta, stds))
        cx, cy = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
        w, h = (x2 - x1) * np.exp(np.clip(dw, -limit, limit)), (y2 - y1) * np.exp(np.clip(dh, -limit, limit))
        decoded.append(
            [
                np.clip(cx - w / 2, 0, size[1]),
                np.clip(cy - h / 2, 0, size[0]),
                np.clip(cx + w / 2, 0, size[1]),
                np.clip(cy + h / 2, 0, size[0]),
            ]
        )
    return torch.tensor(decoded, dtype=torch.float64).reshape(-1, 4)
