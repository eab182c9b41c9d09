"""From masks of any labels to the COCO JSON of each split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.wording import first_few, plural

from ..label_masks import GGO
from .coco import MERGED_CATEGORIES, AnnotatedSlice, LesionAnnotations, annotate_mask, check_min_area, coco_of
from .splits import SplitOptions, each_split, list_name
from .summary import ConversionSummary


@dataclass(frozen=True)
class LesionOptions:
    """What is taken of masks.

    Attributes:
        lesion_labels: values of the masks that are lesions, all others being background; None where masks hold one value
            beside 0.
        negatives: keep slices without a lesion, which are left out otherwise.
        min_area: pixels; only larger 8-connected components are lesions. Slices with smaller ones only are left out, as
            they are neither positive nor negative.

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
            Its annotations, and whether the slice is kept.
        """
        lesion = labels > 0 if self.lesion_labels is None else np.isin(labels, self.lesion_labels)
        found = annotate_mask(np.where(lesion, GGO, 0), self.min_area)
        return found, bool(found.annotations) or (self.negatives and not lesion.any())


def check_labels(labels: Mapping[str, set[int]], options: LesionOptions) -> str:
    """Check that it is known which labels are lesions.

    Args:
        labels: those of each mask beside 0, by its name.
        options: what is taken of masks.

    Returns:
        A warning of masks without any of the wanted labels; empty if each has one.

    Raises:
        ValueError: if masks hold several labels and none is chosen.
    """
    found = sorted(set().union(*labels.values()))
    if options.lesion_labels is None:
        if len(found) > 1:
            raise ValueError(
                f'the masks contain the labels {first_few(list(map(str, found)), 10)}: choose those that are '
                f'lesions (such as --lesion-labels {found[-1]})'
            )
        return ''
    without = [name for name, own in labels.items() if not own & set(options.lesion_labels)]
    return (
        (f'{plural(len(without), "mask", "has")} none of the labels {list(options.lesion_labels)} ({first_few(without)})')
        if without
        else ''
    )


def lesion_lists(
    slices: Sequence[AnnotatedSlice],
    unit_of: Callable[[AnnotatedSlice], str],
    num_small: Mapping[str, int],
    info: dict[str, Any],
    splits: SplitOptions,
    summary: ConversionSummary,
    masks: Path,
    options: LesionOptions,
) -> dict[str, Any]:
    """Divide slices into COCO dictionaries.

    Args:
        slices: those that are kept.
        unit_of: the patient of a slice, or whatever else stays in one split.
        num_small: components that were too small to be lesions, by unit.
        info: what the files say of themselves.
        splits: how units are divided.
        summary: takes the counts.
        masks: folder of the masks, for errors.
        options: what is taken of masks.

    Returns:
        The dictionaries by name of the list, that of the training slices first.

    Raises:
        ValueError: if there is no slice, or there are too few units.
    """
    if not slices:
        raise ValueError(
            f'no usable slices: {"; ".join(summary.problems[:3])}'
            if summary.problems
            else f'the masks in {masks} mark no lesion larger than {options.min_area} pixels, labels '
            f'{options.lesion_labels or "as found"}: lower --min-area or check --lesion-labels'
        )
    lists = {}
    for part, members in each_split(slices, unit_of, {unit_of(slice_): '' for slice_ in slices}, splits):
        name = list_name('lesions', part)
        lists[name] = coco_of(members, MERGED_CATEGORIES, {**info, 'min_area': options.min_area})
        summary.add_lesions(name, lists[name], sum(num_small.get(unit, 0) for unit in {unit_of(member) for member in members}))
    return lists
