"""Conversion of NIfTI volumes with lesion masks to slices and COCO JSON, oriented and windowed as in prediction."""

import itertools
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.scans import Problem, ReadOptions
from mmaffinity.scans.nifti_scan import NiftiScan
from mmaffinity.scans.notes import WARNING
from mmaffinity.scans.opening import brief

from ..patients import check_pattern, patient_in
from .coco import AnnotatedSlice
from .lesion_options import LesionOptions, check_labels
from .lists import PathLike
from .pairs import Pair, find_pairs
from .results import SLICES, ResultFolder, UnusableError
from .splits import SplitOptions
from .summary import ConversionSummary

MAX_ROUNDING = 1e-3  # largest distance of a label from a whole number in masks stored as floating point


@dataclass(frozen=True)
class PairOptions(LesionOptions):
    """Which slices of a volume to convert, and how.

    Attributes:
        lesion_labels, negatives, min_area: see :class:`~.lesion_options.LesionOptions`.
        every: use every n-th slice, in the order of the file.
        ignore_affine: assume that the voxels of a mask match those of its volume, whatever its header says.
        reading: window and conversion to Hounsfield units, as in prediction.

    Raises:
        ValueError: if a value is out of range.
    """

    every: int = 1
    ignore_affine: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1:
            raise ValueError(f'every={self.every} must be at least 1')


@dataclass
class _Converted:
    """The slices of a pair, the labels in its mask, the number of components too small to be lesions, and notes."""

    name: str
    slices: list[AnnotatedSlice] = field(default_factory=list)
    labels: set[int] = field(default_factory=set)
    num_small: int = 0
    notes: list[str] = field(default_factory=list)


def convert_nifti_pairs(
    images: PathLike,
    masks: PathLike,
    out: PathLike,
    options: PairOptions | None = None,
    splits: SplitOptions | None = None,
    patient_pattern: str | None = None,
    pair_pattern: str | None = None,
    **result: Any,
) -> ConversionSummary:
    """Write slices with lesions as ``<out>/slices/<name>/<number>.png``, and ``<out>/annotations/``.

    ``lesions_train.json``, ``lesions_val.json`` and ``lesions_test.json`` are COCO JSON; ``statistics.json`` contains the
    grey-level statistics of the training slices. Each patient is in only one of the lists. Unusable pairs are reported, and the
    others are converted.

    Args:
        images: folder of the volumes.
        masks: folder of their masks, see :func:`~.pairs.find_pairs`.
        out: output folder.
        options: which slices to convert.
        splits: how to split the patients.
        patient_pattern: regular expression, searched in the name of a pair, whose group named ``patient``, or first group,
            is the patient. By default each pair is a separate patient.
        pair_pattern: see :func:`~.pairs.find_pairs`.
        **result: ``overwrite``, ``workers`` and ``progress``, see :class:`~.results.ResultFolder`.

    Returns:
        Counts per split and patient; ``problems`` lists the omitted pairs.

    Raises:
        FileExistsError: if ``out`` contains anything that may not be replaced.
        FileNotFoundError: if a folder is missing or no pair is found.
        ValueError: if an argument is invalid, masks have several labels and ``lesion_labels`` is None, no pair is usable, or
            there are too few patients for the splits.
    """
    options = options or PairOptions()
    check_pattern('patient_pattern', patient_pattern)
    folder = ResultFolder('NIfTI pairs', out, splits, **result)
    pairs = find_pairs(Path(images), Path(masks), folder.summary, pair_pattern)
    patients = {
        pair.name: pair.name if patient_pattern is None else patient_in(pair.name, patient_pattern, str(images))
        for pair in pairs
    }
    with folder.filling():
        good = folder.convert_each(lambda pair: _convert(pair, patients[pair.name], folder, options), pairs, 'volumes')
        warning = check_labels({item.name: item.labels for item in good}, options)
        folder.warn_of_notes([(item.name, item.notes) for item in good], 'volumes')
        if warning:
            folder.summary.warn(warning)
        small: Counter[str] = Counter()
        for item in good:
            small[patients[item.name]] += item.num_small
        slices = [slice_ for item in good for slice_ in item.slices]
        info = dict(description='lesions of NIfTI volumes', source=Path(images).name)
        patterns: dict[str, Any] = dict(patient_pattern=patient_pattern, pair_pattern=pair_pattern)
        return folder.write_lesion_lists(slices, small, info, masks, options, **patterns)


def _convert(pair: Pair, patient: str, folder: ResultFolder, options: PairOptions) -> _Converted:
    """Write the slices of one pair."""
    result = _Converted(pair.name)
    try:
        image = NiftiScan(pair.image, pair.image.name, options.reading)
        mask = _open_mask(pair, image, options)
        image.check()
        try:
            found = _read_labels(mask, range(0, image.info.num_slices, options.every), result, options)
        except ValueError as error:
            raise ValueError(f'its mask {pair.mask} {error}') from error
    except (MemoryError, Exception) as error:  # a file may be damaged in any way; nothing is written yet
        raise UnusableError(f'{pair.name}: {brief(error)}') from error
    keys = image.keys()
    for item in image.read({key for index, key in enumerate(keys) if index not in found}):
        if isinstance(item, Problem):
            shutil.rmtree(folder.path / SLICES / pair.name, ignore_errors=True)
            raise UnusableError(f'{pair.name}: {pair.image} {item.reason}')
        name = f'{SLICES}/{pair.name}/{item.index:04d}.png'
        folder.write_slice(name, item.grey)
        result.slices.append(AnnotatedSlice(name, item.grey.shape, patient, pair.name, found[item.index]))
    result.notes = image.info.notes + [f'mask: {note}' for note in mask.info.notes if note.startswith(WARNING)]
    return result


def _open_mask(pair: Pair, image: NiftiScan, options: PairOptions) -> NiftiScan:
    """Open the mask of a volume and check that they align."""
    try:
        affine = np.asarray(image.info.affine)
        mask = NiftiScan(pair.mask, pair.mask.name, ReadOptions(), affine if options.ignore_affine else None)
    except ValueError as error:
        raise ValueError(f'its mask {pair.mask} {error}') from error
    if mask.volume_shape != image.volume_shape:
        raise ValueError(
            f'has {_times(image.volume_shape)} voxels, but its mask {pair.mask} has '
            f'{_times(mask.volume_shape)}: they do not match'
        )
    corners = np.array([[*corner, 1] for corner in itertools.product(*((0, side - 1) for side in image.volume_shape))])
    apart = float(np.linalg.norm((affine - np.asarray(mask.info.affine)) @ corners.T, axis=0).max())
    if apart > min(np.linalg.norm(affine[:3, :3], axis=0)) / 2:
        raise ValueError(
            f'does not align with its mask {pair.mask}: by their headers, corners are up to {apart:.1f} mm apart; '
            'if their voxels are known to match, ignore the headers with --ignore-affine'
        )
    return mask


def _read_labels(
    mask: NiftiScan, wanted: Sequence[int], result: _Converted, options: PairOptions
) -> dict[int, list[dict[str, Any]]]:
    """Return the annotations of the slices to write, by number.

    Raises:
        ValueError: if the file is damaged or has values that are not labels.
    """
    found = {}
    for index, values in mask.values(wanted):
        labels = np.rint(values)
        foreign = values[~((np.abs(values - labels) <= MAX_ROUNDING) & (labels >= 0))]  # NaN too
        if foreign.size:
            raise ValueError(f'contains the value {foreign[0]:g}; labels must be whole numbers of at least 0')
        result.labels.update(int(label) for label in np.unique(labels) if label)
        annotated, kept = options.annotate(labels)
        result.num_small += annotated.num_small
        if kept:
            found[index] = annotated.annotations
    return found


def _times(shape: Sequence[int]) -> str:
    return ' x '.join(map(str, shape))
