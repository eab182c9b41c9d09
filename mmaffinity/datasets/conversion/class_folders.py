"""Conversion of one folder of slices per class to slice lists."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmaffinity.utils.wording import first_few, plural

from ..verification.image_facts import SLICE, FileFacts, read_facts
from .lists import PathLike
from .results import SLICES, ResultFolder, UnusableError
from .splits import SplitOptions
from .summary import ConversionSummary
from .units import Unit, UnitOptions, find_units


def convert_class_folders(
    root: PathLike,
    out: PathLike,
    classes: Sequence[str] | None = None,
    splits: SplitOptions | None = None,
    units: UnitOptions | None = None,
    copy: bool = False,
    **result: Any,
) -> ConversionSummary:
    """Write ``<out>/annotations/``, and ``<out>/slices``, a link to the class folders.

    ``slices_train.json``, ``slices_val.json`` and ``slices_test.json`` are slice lists; ``statistics.json`` contains the
    grey-level statistics of the training slices. A patient, or a group of near-identical slices if patients are unknown, is in
    only one of the lists. Each class is split separately. Unreadable slices are reported, and the others are converted.

    Args:
        root: folder that contains the class folders; :func:`~..folder_listing.list_folder` explains which files are used.
        out: output folder.
        classes: names of the class folders in the order of the labels; None takes all, sorted by name.
        splits: how to split the patients.
        units: how to identify patients. Names of slices are relative to ``root``, with forward slashes.
        copy: copy the slices instead of linking to their folder.
        **result: ``overwrite``, ``workers`` and ``progress``, see :class:`~.results.ResultFolder`.

    Returns:
        Counts per split, class and patient; ``problems`` lists the omitted slices.

    Raises:
        FileExistsError: if ``out`` contains anything that may not be replaced.
        FileNotFoundError: if a folder or the patient table is missing.
        ValueError: if an argument is invalid, a class has no slices, or there are too few patients for the splits.
    """
    from ..slice_folder_dataset import SliceFolderDataset  # unlike the other converters, it requires torch and MMDetection

    root = Path(root).resolve()
    options, units = dict(classes=classes), units or UnitOptions()
    folder = ResultFolder('class folders', out, splits, **result)
    folder.refuse_inside(root)
    classes = tuple(classes or _folders(root))
    dataset = SliceFolderDataset(str(root), classes, pipeline=[], serialize_data=False)
    folder.summary.warnings += dataset.unused  # already logged
    labels = {info['img_id']: info['gt_slice_label'] for info in map(dataset.get_data_info, range(len(dataset)))}

    def read(name: str) -> tuple[str, FileFacts]:
        facts = read_facts(SLICE, str(root / name))
        if facts.error is not None:
            raise UnusableError(f'{root / name} {facts.error}')
        return name, facts

    with folder.filling():
        facts = dict(folder.convert_each(read, list(labels), 'slices'))
        found = find_units(facts, units, str(root), folder.summary)
        rows = [_row(name, labels[name], unit) for name, unit in found.items()]
        strata = _strata(labels, found, classes, folder.summary)
        number = plural(len(labels), 'slice')
        folder.place_slices(SLICES, root, found, copy)
        return folder.write_slice_lists(rows, strata, classes, root.name, number, options=options, units=asdict(units))


def _folders(root: Path) -> list[str]:
    """Return the subfolders of a folder, by name."""
    if not root.is_dir():
        raise FileNotFoundError(f'the folder {root} does not exist: correct the path')
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
    """Return the stratum of each unit, the names of its classes; warn about units with several."""
    members: dict[Unit, set[int]] = defaultdict(set)
    for name, unit in units.items():
        members[unit].add(labels[name])
    for noun, remark in (('patient', ''), ('group', ': near-identical slices have different labels')):
        several = [unit.name for unit, own in members.items() if len(own) > 1 and (unit.group is None) == (noun == 'patient')]
        if several:
            summary.warn(f'{plural(len(several), noun, "has")} slices of several classes ({first_few(several)}){remark}')
    return {unit.name: ' and '.join(classes[label] for label in sorted(own)) for unit, own in members.items()}
