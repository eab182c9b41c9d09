"""Convert folders of slices and masks, as images of the same names, to COCO JSON."""

import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mmaffinity.utils.files import whole_folder

from ..label_masks import read_label_mask
from ..parallel import Progress, map_files
from ..verification.image_facts import SLICE, FileFacts, read_facts
from .coco import AnnotatedSlice, LesionAnnotations
from .lesion_lists import LesionOptions, check_labels, lesion_lists
from .links import check_outside, place_slices
from .pairs import IMAGES, Pair, find_pairs
from .slice_files import RECORD, write_annotations
from .splits import SplitOptions
from .summary import ConversionSummary
from .units import UnitOptions, find_units

PathLike = str | os.PathLike
FOLDER = 'images'  # of the result, which holds or leads to the slices


@dataclass
class _Read:
    """What was read of a pair."""

    pair: Pair
    facts: FileFacts
    labels: set[int] = field(default_factory=set)
    lesions: LesionAnnotations = field(default_factory=lambda: LesionAnnotations([], 0))
    kept: bool = False
    reason: str = ''


def convert_image_pairs(
    images: PathLike,
    masks: PathLike,
    out: PathLike,
    options: LesionOptions | None = None,
    splits: SplitOptions | None = None,
    units: UnitOptions | None = None,
    pair_pattern: str | None = None,
    copy: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ConversionSummary:
    """Write ``<out>/annotations/``, and ``<out>/images``, a link to the folder of the slices.

    ``lesions_train.json``, ``lesions_val.json`` and ``lesions_test.json`` are COCO JSON, ``statistics.json`` holds the grey
    level statistics of the training slices. A patient is in one of the three alone, or, where patients are unknown, a group of
    slices that look nearly the same. The folder appears once it is complete. A pair that cannot be used is reported, and the
    others are converted.

    Args:
        images: Folder of the slices, see :func:`~.pairs.find_pairs`.
        masks: Folder of their masks: images whose pixel values are labels.
        out: Folder to make.
        options: What is taken of masks.
        splits: How patients are divided.
        units: How patients are known. Names of slices are relative to ``images``, with forward slashes and without extension.
        pair_pattern: See :func:`~.pairs.find_pairs`.
        copy: Copy the slices instead of linking to their folder.
        overwrite: Replace an earlier result.
        workers: Number of threads, by default one per core and eight at most.
        progress: Called as ``progress(what, done, total)``.

    Returns:
        Counts per split and patient; ``problems`` names the pairs that were left out.

    Raises:
        FileExistsError: if ``out`` holds anything that may not be replaced.
        FileNotFoundError: if a folder or the table of patients is missing, or no pair is found.
        ValueError: if an argument is wrong, masks hold several labels and ``options.lesion_labels`` is None, no pair can be
            used, or there are too few patients for the splits.
    """
    options, splits, units = options or LesionOptions(), splits or SplitOptions(), units or UnitOptions()
    images = Path(images).resolve()
    check_outside(out, images)
    found = find_pairs(images, Path(masks), pair_pattern, IMAGES)
    summary = ConversionSummary('image pairs')
    for note in found.notes:
        summary.warn(note)
    summary.add_problems(found.problems)
    with whole_folder(out, RECORD, overwrite) as root:
        results = map_files(lambda pair: _read(pair, options), found.pairs, workers, progress, 'pairs')
        summary.add_problems(result.reason for result in results if result.reason)
        good = [result for result in results if not result.reason]
        check_labels({result.pair.name: result.labels for result in good}, options)
        unit_of = find_units({result.pair.name: result.facts for result in good}, units, str(images), summary)
        slices, small = [], Counter[str]()
        for result in good:
            unit = unit_of.get(result.pair.name)
            if unit is not None:
                small[unit.name] += result.lesions.num_small
                if result.kept:
                    slices.append(
                        AnnotatedSlice(
                            f'{FOLDER}/{result.pair.image.relative_to(images).as_posix()}',
                            (result.facts.height, result.facts.width),
                            unit.patient,
                            None,
                            result.lesions.annotations,
                            unit.group,
                        )
                    )
        info = dict(description='lesions of slices with masks', source=images.name)
        lists = lesion_lists(
            slices, lambda slice_: str(slice_.patient_id or slice_.group), small, info, splits, summary, Path(masks), options
        )
        place_slices(root, FOLDER, images, [slice_.image.removeprefix(f'{FOLDER}/') for slice_ in slices], copy)
        write_annotations(
            root,
            lists,
            [image['file_name'] for image in lists['lesions_train']['images']],
            options,
            splits,
            summary,
            out,
            workers,
            progress,
            units=asdict(units),
            pair_pattern=pair_pattern,
        )
    return summary


def _read(pair: Pair, options: LesionOptions) -> _Read:
    """Read a slice and its mask."""
    result = _Read(pair, read_facts(SLICE, str(pair.image)))
    if result.facts.error is not None:
        result.reason = f'{pair.name}: {pair.image} {result.facts.error}'
        return result
    try:
        mask = read_label_mask(pair.mask)
    except ValueError as error:
        result.reason = f'{pair.name}: {error}'
        return result
    width, height = result.facts.width, result.facts.height
    if mask.shape != (height, width):
        result.reason = (
            f'{pair.name}: the mask {pair.mask} is {mask.shape[1]} x {mask.shape[0]} pixels, but its image is '
            f'{width} x {height}'
        )
        return result
    result.labels = {int(label) for label in np.unique(mask) if label}
    result.lesions, result.kept = options.annotate(mask)
    return result
