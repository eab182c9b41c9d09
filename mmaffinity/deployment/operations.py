"""Operations that ONNX has and torch lacks: RoIAlign, non-maximum suppression, and top k with ties broken by index.

Each is a custom torch operation, so that the model to export also runs, and can be tested, in torch. The exporter replaces it
with the standard ONNX operator.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mmaffinity.ops import nms, roi_align


@torch.library.custom_op('mmaffinity::align_rois', mutates_args=())
def align_rois(features: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float, samples: int, aligned: bool) -> Tensor:
    """Pool RoI features with RoIAlign in average mode.

    Args:
        features: feature map, shape (N, C, H, W).
        boxes: x1 y1 x2 y2 in pixels of the input, shape (R, 4).
        images: image index of each box, int64, shape (R,).
        size: bins per side S.
        scale: cells per pixel.
        samples: samples per bin and axis; 0 for an adaptive number.
        aligned: whether coordinates refer to pixel centres.

    Returns:
        RoI features, shape (R, C, S, S).
    """
    rois = torch.cat([images[:, None].to(boxes.dtype), boxes], 1)
    return roi_align(features.contiguous(), rois, size, scale, samples, 'avg', aligned)


@align_rois.register_fake
def _(features: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float, samples: int, aligned: bool) -> Tensor:
    return features.new_empty((boxes.shape[0], features.shape[1], size, size))


@torch.library.custom_op('mmaffinity::kept_by_nms', mutates_args=())
def kept_by_nms(boxes: Tensor, ranks: Tensor, iou_threshold: float, max_kept: int) -> Tensor:
    """Apply greedy non-maximum suppression to N lists.

    Args:
        boxes: x1 y1 x2 y2, shape (N, P, 4).
        ranks: priority of each box, shape (N, P): distinct positive numbers, largest first; 0 excludes a box.
        iou_threshold: IoU above which a box is dropped.
        max_kept: maximum number of kept boxes per list.

    Returns:
        1 for kept boxes, otherwise 0, float, shape (N, P).
    """
    kept = torch.zeros_like(ranks)
    for row, (candidates, rank) in enumerate(zip(boxes, ranks)):
        index = (rank > 0).nonzero().squeeze(1)
        kept[row, index[nms(candidates[index], rank[index], iou_threshold, max_num=max_kept)[1]]] = 1
    return kept


@kept_by_nms.register_fake
def _(boxes: Tensor, ranks: Tensor, iou_threshold: float, max_kept: int) -> Tensor:
    return torch.empty_like(ranks)


@torch.library.custom_op('mmaffinity::best', mutates_args=())
def best(values: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the k largest values of each row (N, P), descending, and their indices, both (N, k); ties by index."""
    ranked, index = values.sort(dim=1, descending=True, stable=True)
    return ranked[:, :number].clone(), index[:, :number].clone()


@best.register_fake
def _(values: Tensor, number: int) -> tuple[Tensor, Tensor]:
    shape = (values.shape[0], number)
    return values.new_empty(shape), values.new_empty(shape, dtype=torch.long)


def translations() -> dict[Any, Callable]:
    """Return the ONNX form of these operations, as ``custom_translation_table`` of :func:`torch.onnx.export`."""
    from onnxscript import opset18 as op

    def align_rois_onnx(features: Any, boxes: Any, images: Any, size: int, scale: float, samples: int, aligned: bool) -> Any:
        return op.RoiAlign(
            features,
            boxes,
            images,
            mode='avg',
            output_height=size,
            output_width=size,
            sampling_ratio=samples,
            spatial_scale=scale,
            coordinate_transformation_mode='half_pixel' if aligned else 'output_half_pixel',
        )

    def kept_by_nms_onnx(boxes: Any, ranks: Any, iou_threshold: float, max_kept: int) -> Any:
        # One row (list, class, box) per kept box. Priorities of at least 1 pass the score threshold, 0 does not.
        chosen = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(ranks, op.Constant(value_ints=[1])),
            op.Constant(value_ints=[max_kept]),
            op.Constant(value_floats=[iou_threshold]),
            op.Constant(value_floats=[0.5]),
        )
        places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
        ones = op.Expand(op.Constant(value_floats=[1.0]), op.Shape(places, start=0, end=1))
        return op.ScatterND(op.Sub(ranks, ranks), places, ones)

    def best_onnx(values: Any, number: int) -> Any:
        return op.TopK(values, op.Constant(value_ints=[number]))  # TopK breaks ties by index

    operations = torch.ops.mmaffinity
    return {
        operations.align_rois.default: align_rois_onnx,
        operations.kept_by_nms.default: kept_by_nms_onnx,
        operations.best.default: best_onnx,
    }
