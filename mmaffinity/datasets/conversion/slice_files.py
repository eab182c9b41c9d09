"""What converters of scans write: slices as PNG, lists, statistics, and how they were made."""
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmaffinity.scans.notes import WARNING, SliceNotes
from mmaffinity.utils.files import write_jsons_atomic

from ..grey_levels import grey_level_statistics
from ..parallel import Progress
from .splits import SplitOptions
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


def write_annotations(root: Path, lists: Mapping[str, Any], train: Sequence[str], options: Any, splits: SplitOptions,
                      summary: ConversionSummary, out: str | os.PathLike, workers: int | None, progress: Progress | None,
                      **record: Any) -> None:
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
    summary.statistics = dict(grey_level_statistics([root / name for name in train], workers, progress),
                              source=f'{next(iter(lists))}.json')
    files = {f'{name}.json': content for name, content in lists.items()} | {'statistics.json': summary.statistics}
    settings = dict(dataset=summary.dataset, options=asdict(options), splits=asdict(splits), **record, notes=summary.warnings,
                    left_out=summary.problems)
    write_jsons_atomic({root / 'annotations' / name: content for name, content in files.items()} | {root / RECORD: settings})
    summary.files = [Path(out) / 'annotations' / name for name in files]
