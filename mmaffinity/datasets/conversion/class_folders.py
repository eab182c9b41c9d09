"""Convert one folder of slices per class to slice lists."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmaffinity.utils.files import whole_folder
from mmaffinity.utils.wording import first_few, plural

from ..parallel import Progress, map_files
from ..slice_folder_dataset import SliceFolderDataset
from ..verification.image_facts import SLICE, read_facts
from .links import check_outside, place_slices
from .slice_files import RECORD, SLICES, split_slices, write_annotations
from .splits import SplitOptions
from .summary import ConversionSummary
from .units import Unit, UnitOptions, find_units

PathLike = str | os.PathLike


@dataclass(frozen=True)
class ClassOptions:
    """Which folders are classes.

    Attributes:
        classes: names of the folders in the order of the labels; None takes all, sorted by name.
    """

    classes: Sequence[str] | None = None


def convert_class_folders(
    root: PathLike,
    out: PathLike,
    options: ClassOptions | None = None,
    splits: SplitOptions | None = None,
    units: UnitOptions | None = None,
    copy: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ConversionSummary:
    """Write ``<out>/annotations/``, and ``<out>/slices``, a link to the folder of the classes.

    ``slices_train.json``, ``slices_val.json`` and ``slices_test.json`` are slice lists, ``statistics.json`` holds the grey
    level statistics of the training slices. A patient is in one of the three alone, or, where patients are unknown, a group of
    slices that look nearly the same. Each class is divided by itself. The folder appears once it is complete. A slice that
    cannot be read is reported, and the others are converted.

    Args:
        root: Folder that holds the class folders; which files count, see :class:`~mmaffinity.datasets.SliceFolderDataset`.
        out: Folder to make.
        options: Which folders are classes.
        splits: How patients are divided.
        units: How patients are known. Names of slices are relative to ``root``, with forward slashes.
        copy: Copy the slices instead of linking to their folder.
        overwrite: Replace an earlier result.
        workers: Number of threads, by default one per core and eight at most.
        progress: Called as ``progress(what, done, total)``.

    Returns:
        Counts per split, class and patient; ``problems`` names the slices that were left out.

    Raises:
        FileExistsError: if ``out`` holds anything that may not be replaced.
        FileNotFoundError: if a folder or the table of patients is missing.
        ValueError: if an argument is wrong, a class has no slice, or there are too few patients for the splits.
    """
    root = Path(root).resolve()
    options, splits, units = options or ClassOptions(), splits or SplitOptions(), units or UnitOptions()
    check_outside(out, root)
    classes = tuple(options.classes or _folders(root))
    summary = ConversionSummary('class folders')
    dataset = SliceFolderDataset(str(root), classes, pipeline=[], serialize_data=False)
    summary.warnings += dataset.unused  # logged already
    labels = {info['img_id']: info['gt_slice_label'] for info in map(dataset.get_data_info, range(len(dataset)))}
    with whole_folder(out, RECORD, overwrite) as folder:
        facts = dict(
            zip(
                labels,
                map_files(lambda name: read_facts(SLICE, str(root / name)), list(labels), workers, progress, 'slices'),
                strict=True,
            )
        )
        summary.add_problems(f'{root / name} {item.error}' for name, item in facts.items() if item.error is not None)
        found = find_units({name: item for name, item in facts.items() if item.error is None}, units, str(root), summary)
        rows = [_row(name, labels[name], unit) for name, unit in found.items()]
        lists = split_slices(
            rows,
            plural(len(facts), 'slice'),
            lambda row: row['patient_id'] or row['group'],
            _strata(labels, found, classes, summary),
            splits,
            classes,
            root.name,
            summary,
        )
        place_slices(folder, SLICES, root, found, copy)
        write_annotations(
            folder,
            lists,
            [row['img_path'] for row in lists['slices_train']['data_list']],
            options,
            splits,
            summary,
            out,
            workers,
            progress,
            units=asdict(units),
        )
    return summary


def _folders(root: Path) -> list[str]:
    """The folders of a folder, by name."""
    if not root.is_dir():
        raise FileNotFoundError(f'the folder {root} does not exist')
    found = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith('.'))
    if len(found) < 2:
        raise ValueError(f'{root} contains {plural(len(found), "folder")}; it must contain one folder of slices per class')
    return found


def _row(name: str, label: int, unit: Unit) -> dict[str, Any]:
    row = dict(img_path=f'{SLICES}/{name}', label=label, patient_id=unit.patient, scan_id=None)
    return row if unit.group is None else row | dict(group=unit.group)


def _strata(
    labels: Mapping[str, int], units: Mapping[str, Unit], classes: Sequence[str], summary: ConversionSummary
) -> dict[str, str]:
    """The classes of each unit, which divide them into strata; warn of those with several."""
    members: dict[Unit, set[int]] = defaultdict(set)
    for name, unit in units.items():
        members[unit].add(labels[name])
    strata = {unit.name: ' and '.join(classes[label] for label in sorted(own)) for unit, own in members.items()}
    for noun, several in (
        ('patient', [unit.name for unit, own in members.items() if unit.group is None and len(own) > 1]),
        ('group', [unit.name for unit, own in members.items() if unit.group and len(own) > 1]),
    ):
        if several:
            alike = ': near-identical slices have different labels' if noun == 'group' else ''
            summary.warn(f'{plural(len(several), noun, "has")} slices of several classes ({first_few(several)}){alike}')
    return strata
