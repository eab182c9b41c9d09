"""Choice of the mask labels that are lesions, and of the slices to keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmaffinity.utils.wording import first_few, plural

from ..label_masks import GGO
from .coco import LesionAnnotations, annotate_mask, check_min_area


@dataclass(frozen=True)
class LesionOptions:
    """Which mask values are lesions, and which slices are kept.

    Attributes:
        lesion_labels: mask values that are lesions; all others are background. None for masks with a single value besides 0.
        negatives: also keep slices without lesions.
        min_area: only 8-connected components with more pixels than this are lesions. Slices with only smaller ones are omitted,
            because they are neither positive nor negative.

    Raises:
        ValueError: if a value is out of range.
    """

    lesion_labels: Sequence[int] | None = None
    negatives: bool = False
    min_area: int = 100

    def __post_init__(self) -> None:
        check_min_area(self.min_area)
        if self.lesion_labels is not None and (not self.lesion_labels or min(self.lesion_labels) < 1):
            raise ValueError(f'lesion_labels={list(self.lesion_labels)} must be whole numbers above 0 (0 is background)')

    def annotate(self, labels: np.ndarray) -> tuple[LesionAnnotations, bool]:
        """Find the lesions of a slice.

        Args:
            labels: the mask, shape (H, W).

        Returns:
            Its annotations, and whether to keep the slice.
        """
        lesion = labels > 0 if self.lesion_labels is None else np.isin(labels, self.lesion_labels)
        found = annotate_mask(np.where(lesion, GGO, 0), self.min_area)
        return found, bool(found.annotations) or (self.negatives and not lesion.any())


def check_labels(labels: Mapping[str, set[int]], options: LesionOptions) -> str:
    """Check that the choice of lesion labels is unambiguous.

    Args:
        labels: labels of each mask except 0, by name.
        options: which labels are lesions.

    Returns:
        A warning about masks without any lesion label; empty if each mask has one.

    Raises:
        ValueError: if the masks contain several labels and ``lesion_labels`` is None.
    """
    found = sorted(set().union(*labels.values()))
    if options.lesion_labels is None:
        if len(found) > 1:
            raise ValueError(
                f'the masks contain the labels {first_few(list(map(str, found)), 10)}: specify those that are '
                f'lesions, for example --lesion-labels {found[-1]}'
            )
        return ''
    without = [name for name, own in labels.items() if not own & set(options.lesion_labels)]
    if not without:
        return ''
    return f'{plural(len(without), "mask", "has")} none of the labels {list(options.lesion_labels)} ({first_few(without)})'
