"""Records of predicted slices: plain data, measured in the slice's pixels and in millimetres."""

from dataclasses import asdict, dataclass, field, replace

import numpy as np
from pycocotools import mask as coco_masks

from mmaffinity.utils.run_lengths import encode_masks

from .items import Slice
from .lungs import simple_lung_mask


@dataclass
class Lesion:
    """One predicted lesion.

    Attributes:
        score: lesion probability.
        label: index of the lesion class.
        box: x1, y1, x2, y2 in pixels of the radiological view.
        area_px: area of the mask in pixels.
        area_mm2: None if the spacing is unknown.
        mask: compressed COCO RLE {'size': [H, W], 'counts': str}; None if the model predicts only boxes.
    """

    score: float
    label: int
    box: list[float]
    area_px: int
    area_mm2: float | None
    mask: dict | None

    def bitmap(self) -> np.ndarray | None:
        """Return the mask as a boolean array (H, W)."""
        return None if self.mask is None else coco_masks.decode(self.mask).astype(bool)


@dataclass
class SliceRecord:
    """One predicted slice.

    Attributes:
        index: index in the scan, from 0.
        name: file, or volume and number.
        height, width: size in pixels in the radiological view, which boxes and masks refer to.
        position_mm: position along the patient, increasing towards the head; None if unknown.
        thickness_mm: thickness of the slab that the slice represents; None if unknown.
        label: name of the predicted class; None if the model does not classify.
        probabilities: independent probability of each class (sigmoid, Eq. 9: they need not sum to 1).
        lesions: lesions with a score above the threshold, by decreasing score.
        lesion_area_px, lesion_area_mm2: area of their union.
        lesion_volume_ml: lesion area times slab thickness; None if unknown.
        lung_area_px: area of a simple lung mask, see :mod:`.lungs`; None if no lung was found.
        notes: notes for readers of the result.
    """

    index: int
    name: str
    height: int
    width: int
    position_mm: float | None
    thickness_mm: float | None
    label: str | None
    probabilities: dict[str, float]
    lesions: list[Lesion] = field(default_factory=list)
    lesion_area_px: int = 0
    lesion_area_mm2: float | None = None
    lesion_volume_ml: float | None = None
    lung_area_px: int | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict) -> 'SliceRecord':
        """Create a record from the result of :meth:`to_dict`."""
        return cls(**{**content, 'lesions': [Lesion(**lesion) for lesion in content['lesions']]})

    def at(self, position_mm: float | None, thickness_mm: float | None) -> 'SliceRecord':
        """Return the record at another position in its scan, with the lesion volume recomputed."""
        volume = None if self.lesion_area_mm2 is None or thickness_mm is None else self.lesion_area_mm2 * thickness_mm / 1000
        return replace(self, position_mm=position_mm, thickness_mm=thickness_mm, lesion_volume_ml=volume)

    def lesion_mask(self) -> np.ndarray:
        """Return the union of the lesions, boolean (height, width)."""
        union = np.zeros((self.height, self.width), dtype=bool)
        for lesion in self.lesions:
            bitmap = lesion.bitmap()
            if bitmap is not None:
                union |= bitmap
        return union


def measure(
    item: Slice,
    label: str | None,
    probabilities: dict[str, float],
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    masks: np.ndarray | None,
    score_thr: float,
) -> SliceRecord:
    """Turn a prediction into a record with areas and volumes.

    Args:
        item: the slice.
        label, probabilities: see :class:`SliceRecord`.
        boxes: (n, 4). scores: (n,). labels: (n,). masks: boolean (n, H, W), or None. All in pixels of the slice.
        score_thr: lesions with a lower score are omitted.
    """
    height, width = item.grey.shape
    pixel = None if item.spacing is None else item.spacing[0] * item.spacing[1]
    order = [at for at in np.argsort(-np.asarray(scores), kind='stable') if scores[at] >= score_thr]
    union = np.zeros((height, width), dtype=bool)
    lesions = []
    for at in order:
        area, area_mm2, run = 0, None, None
        if masks is not None:
            # One at a time, to avoid a second copy of a hundred masks of a large slice.
            mask = np.asarray(masks[at], dtype=bool)
            union |= mask
            (encoded,) = encode_masks(mask[None])
            area = int(coco_masks.area(encoded))
            area_mm2 = None if pixel is None else area * pixel
            run = {'size': [height, width], 'counts': encoded['counts'].decode('ascii')}
        box = [round(float(x), 2) for x in boxes[at]]
        lesions.append(Lesion(round(float(scores[at]), 6), int(labels[at]), box, area, area_mm2, run))
    area = int(np.count_nonzero(union))
    area_mm2 = None if pixel is None or masks is None else area * pixel
    volume = None if area_mm2 is None or item.thickness is None else area_mm2 * item.thickness / 1000
    lungs = simple_lung_mask(item.grey, item.window, union) if item.color is None else None
    return SliceRecord(
        index=item.index,
        name=item.name,
        height=height,
        width=width,
        position_mm=item.position,
        thickness_mm=item.thickness,
        label=label,
        probabilities=probabilities,
        lesions=lesions,
        lesion_area_px=area,
        lesion_area_mm2=area_mm2,
        lesion_volume_ml=volume,
        lung_area_px=None if lungs is None else int(np.count_nonzero(lungs)),
        notes=list(item.notes),
    )
