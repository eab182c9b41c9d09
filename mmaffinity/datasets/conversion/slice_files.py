"""What converters of scans write: slices as PNG, lists, statistics, and how they were made."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmaffinity.scans.notes import WARNING, SliceNotes
from mmaffinity.utils.files import write_jsons_atomic

from ..grey_levels import grey_level_statistics
from ..parallel import Progress
from .splits import SplitOptions, each_split, list_name
from .summary import ConversionSummary

SLICES = 'slices'  # folder of the PNG files
RECORD = 'annotations/conversion.json'  # how the slices were made; it marks a folder as a converter's


def write_slice(root: Path, name: str, grey: np.ndarray) -> None:
    """Write a slice as 8-bit PNG.

    Args:
        root: the data root.
        name: relative to it, with '/'.
        grey: uint8 (H, W).
    """
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode('.png', grey, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes())


def warn_of_notes(notes_by_scan: Sequence[tuple[str, Sequence[str]]], unit: str, summary: ConversionSummary) -> None:
    """Warn of what readers noted, once for all scans that have the same note.

    Args:
        notes_by_scan: name and notes of each scan.
        unit: what scans are called, in the plural.
        summary: takes the warnings.
    """
    notes = SliceNotes()
    for name, lines in notes_by_scan:
        notes.add(name, lines)
    for line in notes.lines(len(notes_by_scan), unit):
        summary.warn(line.removeprefix(WARNING))


def write_annotations(
    root: Path,
    lists: Mapping[str, Any],
    train: Sequence[str],
    options: Any,
    splits: SplitOptions,
    summary: ConversionSummary,
    out: str | os.PathLike,
    workers: int | None,
    progress: Progress | None,
    **record: Any,
) -> None:
    """Write lists, grey level statistics of the training slices, and :data:`RECORD`.

    Args:
        root: the data root, while it is filled.
        lists: their contents by name, without extension; the first is that of the training slices.
        train: names of the training slices.
        options: dataclass of the converter's options, with the ``reading`` of scans.
        splits: how patients were divided.
        summary: takes statistics and file names; its warnings and problems are recorded.
        out: what ``root`` is called in the end.
        workers, progress: see :func:`~mmaffinity.datasets.parallel.map_files`.
        **record: what else is recorded.
    """
    summary.statistics = dict(
        grey_level_statistics([root / name for name in train], workers, progress), source=f'{next(iter(lists))}.json'
    )
    files = {f'{name}.json': content for name, content in lists.items()} | {'statistics.json': summary.statistics}
    settings = dict(
        dataset=summary.dataset,
        options=asdict(options),
        splits=asdict(splits),
        **record,
        notes=summary.warnings,
        left_out=summary.problems,
    )
    write_jsons_atomic({root / 'annotations' / name: content for name, content in files.items()} | {root / RECORD: settings})
    summary.files = [Path(out) / 'annotations' / name for name in files]


def split_slices(
    rows: Sequence[dict[str, Any]],
    found: str,
    unit_of: Callable[[dict[str, Any]], str],
    strata: Mapping[str, str],
    splits: SplitOptions,
    classes: Sequence[str],
    source: str,
    summary: ConversionSummary,
) -> dict[str, Any]:
    """Return the slice lists of a converter by name, without extension; those of the training slices come first.

    Args:
        rows: entries of all lists.
        found: what they were taken from, such as '20 patients'.
        unit_of: patient or group of an entry, which stays in one split.
        strata: class of each unit.
        splits: how units are split.
        classes: names of the classes.
        source: origin of the slices, for the lists.
        summary: receives the counts.

    Raises:
        ValueError: if there are no rows, or too few units for the splits.
    """
    if not rows:
        raise ValueError(f'no usable slices (of {found}): {"; ".join(summary.problems[:3])}')
    metainfo = dict(dataset=summary.dataset, slice_classes=list(classes), source=source)
    lists: dict[str, Any] = {}
    for part, members in each_split(rows, unit_of, strata, splits):
        name = list_name('slices', part)
        lists[name] = dict(metainfo=metainfo, data_list=members)
        summary.add_slices(name, members, classes)
    return lists


def write_download(
    data_root: Path,
    outputs: dict[Path, Any],
    skip_statistics: bool,
    summary: ConversionSummary,
    workers: int | None,
    progress: Progress | None,
) -> ConversionSummary:
    """Write the lists of a converted download into it, with the statistics of its training slices.

    Args:
        data_root: the download.
        outputs: contents by path.
        skip_statistics: compute none.
        summary: receives statistics and files, and is returned.
        workers, progress: see :func:`~mmaffinity.datasets.parallel.map_files`.
    """
    folder = data_root / 'annotations'
    train = outputs.get(folder / 'slices_train.json')
    if train is not None and not skip_statistics:
        paths = [data_root / row['img_path'] for row in train['data_list']]
        summary.statistics = dict(grey_level_statistics(paths, workers, progress), source='slices_train.json')
        outputs[folder / 'statistics.json'] = summary.statistics
    elif any(path.name.startswith('slices_') for path in outputs) and (folder / 'statistics.json').exists():
        summary.warn(f'{folder / "statistics.json"} is from an earlier run, perhaps over other training slices')
    write_jsons_atomic(outputs)
    summary.files = list(outputs)
    return summary
