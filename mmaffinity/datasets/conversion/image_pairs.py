"""Conversion of a folder of slices and a folder of masks, matched by name, to COCO JSON."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..label_masks import read_label_mask
from ..verification.image_facts import SLICE, FileFacts, read_facts
from .coco import AnnotatedSlice, LesionAnnotations
from .lesion_options import LesionOptions, check_labels
from .lists import PathLike
from .pairs import IMAGES, Pair, find_pairs
from .results import ResultFolder, UnusableError
from .splits import SplitOptions
from .summary import ConversionSummary
from .units import UnitOptions, find_units

FOLDER = 'images'  # folder of the slices, or link to it, in the result


class _Read(NamedTuple):
    """A slice and its mask: facts about the slice, labels and lesions of the mask, and whether to keep the slice."""

    pair: Pair
    facts: FileFacts
    labels: set[int]
    lesions: LesionAnnotations
    kept: bool


def convert_image_pairs(
    images: PathLike,
    masks: PathLike,
    out: PathLike,
    options: LesionOptions | None = None,
    splits: SplitOptions | None = None,
    units: UnitOptions | None = None,
    pair_pattern: str | None = None,
    copy: bool = False,
    **result: Any,
) -> ConversionSummary:
    """Write ``<out>/annotations/``, and ``<out>/images``, a link to the folder of the slices.

    ``lesions_train.json``, ``lesions_val.json`` and ``lesions_test.json`` are COCO JSON; ``statistics.json`` contains the
    grey-level statistics of the training slices. A patient, or a group of near-identical slices if patients are unknown, is in
    only one of the lists. Unusable pairs are reported, and the others are converted.

    Args:
        images: folder of the slices, see :func:`~.pairs.find_pairs`.
        masks: folder of their masks: images whose pixel values are labels.
        out: output folder.
        options: which labels are lesions, and which slices to keep.
        splits: how to split the patients.
        units: how to identify patients. Names of slices are relative to ``images``, with forward slashes, without extension.
        pair_pattern: see :func:`~.pairs.find_pairs`.
        copy: copy the slices instead of linking to their folder.
        **result: ``overwrite``, ``workers`` and ``progress``, see :class:`~.results.ResultFolder`.

    Returns:
        Counts per split and patient; ``problems`` lists the omitted pairs.

    Raises:
        FileExistsError: if ``out`` contains anything that may not be replaced.
        FileNotFoundError: if a folder or the patient table is missing, or no pair is found.
        ValueError: if an argument is invalid, masks have several labels and ``options.lesion_labels`` is None, no pair is
            usable, or there are too few patients for the splits.
    """
    options, units, images = options or LesionOptions(), units or UnitOptions(), Path(images).resolve()
    folder = ResultFolder('image pairs', out, splits, **result)
    folder.refuse_inside(images)
    pairs = find_pairs(images, Path(masks), folder.summary, pair_pattern, IMAGES)
    with folder.filling():
        good = folder.convert_each(lambda pair: _read(pair, options), pairs, 'pairs')
        # The warning about masks without lesion labels is dropped: unlike in a volume, that is common in a slice.
        check_labels({item.pair.name: item.labels for item in good}, options)
        found = find_units({item.pair.name: item.facts for item in good}, units, str(images), folder.summary)
        slices, small = [], Counter[str]()
        for pair, facts, _, lesions, kept in good:
            unit = found.get(pair.name)
            if unit is None:
                continue
            small[unit.name] += lesions.num_small
            if kept:
                name = f'{FOLDER}/{pair.image.relative_to(images).as_posix()}'
                shape = facts.height, facts.width
                slices.append(AnnotatedSlice(name, shape, unit.patient, None, lesions.annotations, unit.group))
        info = dict(description='lesions of slices with masks', source=images.name)
        folder.place_slices(FOLDER, images, [slice_.image.removeprefix(f'{FOLDER}/') for slice_ in slices], copy)
        record = dict(units=asdict(units), pair_pattern=pair_pattern)
        return folder.write_lesion_lists(slices, small, info, masks, options, **record)


def _read(pair: Pair, options: LesionOptions) -> _Read:
    """Read a slice and its mask."""
    facts = read_facts(SLICE, str(pair.image))
    if facts.error is not None:
        raise UnusableError(f'{pair.name}: {pair.image} {facts.error}')
    try:
        mask = read_label_mask(pair.mask)
    except ValueError as error:
        raise UnusableError(f'{pair.name}: {error}') from error
    if mask.shape != (facts.height, facts.width):
        raise UnusableError(
            f'{pair.name}: the mask {pair.mask} is {mask.shape[1]} x {mask.shape[0]} pixels, but its image is '
            f'{facts.width} x {facts.height}'
        )
    return _Read(pair, facts, {int(label) for label in np.unique(mask) if label}, *options.annotate(mask))
