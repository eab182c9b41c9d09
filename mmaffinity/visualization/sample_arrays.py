"""Contents of a data sample as NumPy arrays for drawing, checked against the slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as coco_masks

from mmaffinity.utils.run_lengths import encode_masks


@dataclass
class Lesions:
    """Predicted or true lesions of a slice.

    Attributes:
        boxes: x1 y1 x2 y2 in pixels of the slice, shape (n, 4).
        labels: lesion class, shape (n,).
        scores: probability of the class, shape (n,); None for true lesions.
        masks: boolean, shape (n, H, W); None if there are only boxes.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, index: np.ndarray) -> 'Lesions':
        return Lesions(
            self.boxes[index],
            self.labels[index],
            None if self.scores is None else self.scores[index],
            None if self.masks is None else self.masks[index],
        )


def to_array(value: Any) -> np.ndarray:
    """Convert a tensor on any device, MMDetection's boxes or masks, or anything that NumPy accepts to an array."""
    if hasattr(value, 'to_ndarray'):  # BitmapMasks, PolygonMasks
        return value.to_ndarray()
    value = getattr(value, 'tensor', value)  # HorizontalBoxes
    if hasattr(value, 'detach'):
        value = value.detach().cpu().float() if value.is_floating_point() else value.detach().cpu()
    return np.asarray(value)


def sample_name(sample: Any) -> str:
    """Return a readable name of the slice: patient/scan/file or, if these are unknown, the last folder and file of its path."""
    path = PurePosixPath(str(sample.get('img_path') or '').replace('\\', '/'))
    parts = [sample.get('patient_id'), sample.get('scan_id')]
    parts = [str(part) for part in parts if part is not None]
    if not parts and path.parent.name:
        parts = [path.parent.name]
    return '/'.join(parts + [path.name or str(sample.get('img_id', 'slice'))])


def picture_as_seen(image: np.ndarray, sample: Any) -> np.ndarray:
    """Return what the model saw of a slice, for drawing: all of it, or the crop by CropToBodyBox; colour images as RGB.

    Args:
        image: the slice as loaded from disk by the first transform of a pipeline, shape (H, W), or BGR (H, W, 3).
        sample: its data sample; if the slice was cropped, ``crop_box`` is xmin ymin xmax ymax in pixels.
    """
    xmin, ymin, xmax, ymax = sample.get('crop_box') or (0, 0, image.shape[1], image.shape[0])
    image = image[ymin:ymax, xmin:xmax]
    return image[..., ::-1] if image.ndim == 3 else image


def _check_shape(masks: np.ndarray, shape: tuple[int, int], what: str, name: str) -> np.ndarray:
    if masks.ndim != 3 or (len(masks) and masks.shape[1:] != shape):
        raise ValueError(
            f'the {what} of {name} have shape {masks.shape}, but the slice to draw on is '
            f'{shape[0]} x {shape[1]} pixels: pass the slice as it is on disk, not as the model sees it'
        )
    return masks.astype(bool).reshape(len(masks), *shape)


def predicted_lesions(sample: Any, shape: tuple[int, int]) -> Lesions | None:
    """Return the predicted lesions by decreasing score; None if the model does not predict lesions.

    Raises:
        ValueError: if the masks do not have the slice's shape (H, W).
    """
    instances = sample.get('pred_instances')
    if instances is None:
        return None
    boxes = to_array(instances.bboxes).reshape(-1, 4)
    labels = to_array(instances.get('labels', np.zeros(len(boxes)))).astype(int)
    scores = to_array(instances.scores)
    masks = instances.get('masks')
    if masks is not None:
        masks = _check_shape(to_array(masks), shape, 'predicted masks', sample_name(sample))
    return Lesions(boxes, labels, scores, masks).select(np.argsort(-scores, kind='stable'))


def true_lesions(sample: Any, shape: tuple[int, int]) -> Lesions | None:
    """Return the annotated lesions; None if the slice has no lesion annotations, as in the slice data sets.

    The raw annotations (meta field ``instances``) take precedence, because they are in pixels of the slice on disk, whereas
    ``gt_instances`` may have been resized with the model's input.

    Raises:
        ValueError: if the masks do not have the slice's shape (H, W).
    """
    if sample.get('task') == 'classification':
        return None
    name = sample_name(sample)
    annotations = sample.get('instances')
    if annotations is not None:
        kept = [item for item in annotations if not item.get('ignore_flag', 0)]
        boxes = np.array([item['bbox'] for item in kept], dtype=np.float64).reshape(-1, 4)
        labels = np.array([item.get('bbox_label', 0) for item in kept], dtype=int)
        masks = None
        if all(item.get('mask') is not None for item in kept):
            encoded = encode_masks([item['mask'] for item in kept], shape)
            decoded = [coco_masks.decode(mask).astype(bool) for mask in encoded]
            for mask in decoded:
                _check_shape(mask[None], shape, 'annotated masks', name)
            masks = np.stack(decoded) if decoded else np.zeros((0, *shape), dtype=bool)
        return Lesions(boxes, labels, None, masks)
    instances = sample.get('gt_instances')
    if instances is None or 'bboxes' not in instances:
        return None
    boxes = to_array(instances.bboxes).reshape(-1, 4)
    masks = instances.get('masks')
    if masks is not None:
        masks = _check_shape(to_array(masks), shape, 'ground-truth masks', name)
    return Lesions(boxes, to_array(instances.get('labels', np.zeros(len(boxes)))).astype(int), None, masks)


def slice_probabilities(sample: Any) -> tuple[int | None, list[float]]:
    """Return the predicted class and the probability of each class; (None, []) without a predicted class."""
    prediction = sample.get('pred_slice')
    if prediction is None:
        return None, []
    scores = [float(score) for score in to_array(prediction.score).reshape(-1)]
    if 'label' in prediction:
        return int(to_array(prediction.label).reshape(-1)[0]), scores
    return int(np.argmax(scores)), scores


def true_class(sample: Any) -> int | None:
    truth = sample.get('gt_slice')
    return None if truth is None or 'label' not in truth else int(to_array(truth.label).reshape(-1)[0])


def ranked_rois(sample: Any) -> list[tuple[np.ndarray, list[int], float | None]]:
    """Return the RoIs used for classification: (box, ranks from 1, weight), with repeated boxes merged.

    If a slice has fewer boxes than the model needs, the list is padded with repeats. Repeats have the same features, and
    z = X^T (W v) adds their contributions, so a merged box gets the sum of their weights.
    """
    prediction = sample.get('pred_slice')
    if prediction is None or 'roi_boxes' not in prediction:
        return []
    boxes = to_array(prediction.roi_boxes).reshape(-1, 4)
    weights = to_array(prediction.roi_weights).reshape(-1) if 'roi_weights' in prediction else None
    return [
        (boxes[ranks[0] - 1], ranks, None if weights is None else float(sum(weights[rank - 1] for rank in ranks)))
        for ranks in ranks_by_box(boxes)
    ]


def ranks_by_box(boxes: np.ndarray) -> list[list[int]]:
    """Return the ranks, from 1, of each distinct box of ranked RoIs."""
    ranks: dict[bytes, list[int]] = {}
    for rank, box in enumerate(boxes, 1):
        ranks.setdefault(box.tobytes(), []).append(rank)
    return list(ranks.values())


def rank_text(ranks: Sequence[int]) -> str:
    """Format ranks, abbreviating consecutive ones to the first and last."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    return ','.join(str(first) if first == last else f'{first}\u2013{last}' for first, last in runs)
