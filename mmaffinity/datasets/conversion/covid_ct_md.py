"""Conversion of COVID-CT-MD (DICOM folders and slice labels) to labelled slices, oriented and windowed as in prediction."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.scans import Problem, ReadOptions, Scan, find_scans
from mmaffinity.scans.lungs import simple_lung_mask
from mmaffinity.scans.notes import WARNING, SliceNotes
from mmaffinity.utils.wording import first_few, plural

from .ct_md_labels import SOURCE, find_label_files, read_slice_labels
from .lists import CNCB_CLASSES, PathLike
from .raw_files import check_data_root
from .results import SLICES, ResultFolder, UnusableError
from .splits import SplitOptions
from .summary import ConversionSummary

NORMAL = CNCB_CLASSES.index('Normal')
# Names of the class folders: 'COVID-19 Cases' in the archive, 'Cap subjects' in the sample.
_FOLDERS = {'normal': NORMAL, 'cap': CNCB_CLASSES.index('CP'), 'covid-19': CNCB_CLASSES.index('COVID-19')}
_FOLDER_NAME = re.compile(r'(normal|cap|covid-19)([ _-]*(cases|subjects))?', re.IGNORECASE)
_REMEDY = f'choose the folder that contains COVID-19 Cases/, Cap Cases/ and Normal Cases/; to download it, see {SOURCE}'


@dataclass(frozen=True)
class CtMdOptions:
    """Which slices to convert, and how.

    Attributes:
        every: use every n-th slice, counted from the head.
        clear_as_normal: label the slices without infection of patients with pneumonia as Normal, instead of leaving them out.
        only_lungs: use slices without infection only if a threshold finds lungs in them.
        reading: window and conversion to Hounsfield units, as in prediction.

    Raises:
        ValueError: if a value is out of range.
    """

    every: int = 1
    clear_as_normal: bool = False
    only_lungs: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f'every={self.every} must be at least 1')


@dataclass
class _Patient:
    """A patient's folder, class and slice labels (None for Normal), and the results of the conversion."""

    name: str
    folder: Path
    label: int
    infected: np.ndarray | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    without_lungs: int = 0


def convert_covid_ct_md(
    root: PathLike,
    out: PathLike,
    options: CtMdOptions | None = None,
    splits: SplitOptions | None = None,
    index: PathLike | None = None,
    labels: PathLike | None = None,
    **result: Any,
) -> ConversionSummary:
    """Write labelled slices as ``<out>/slices/<patient>/<number>.png``, and ``<out>/annotations/``.

    ``slices_train.json``, ``slices_val.json`` and ``slices_test.json`` are slice lists; ``statistics.json`` contains the
    grey-level statistics of the training slices. Slices with infection have the class of their patient; those of normal
    patients are Normal. Patients with pneumonia but without slice labels are left out. Slices are numbered from the head, like
    the labels. Unusable patients are reported, and the others are converted.

    Args:
        root: folder with the unpacked class folders.
        out: output folder.
        options: which slices to convert.
        splits: how to split the patients; each class is split separately.
        index, labels: Index.csv and Slice-level-labels.npy, by default those in ``root``.
        **result: ``overwrite``, ``workers`` and ``progress``, see :class:`~.results.ResultFolder`.

    Returns:
        Counts per split, class and patient; ``problems`` lists the omitted patients.

    Raises:
        FileExistsError: if ``out`` contains anything that may not be replaced.
        FileNotFoundError: if a folder, the index or the labels are missing.
        ValueError: if an argument, the index or the labels are invalid, no slices remain, or there are too few patients.
    """
    root, options = Path(root), options or CtMdOptions()
    check_data_root(root, _REMEDY)
    folder = ResultFolder('COVID-CT-MD', out, splits, **result)
    summary = folder.summary
    folders = _class_folders(root, summary)
    index, labels = find_label_files(root, index, labels)
    patients = _find_patients(folders, read_slice_labels(index, labels), index, summary)
    with folder.filling():
        good = folder.convert_each(lambda patient: _convert(patient, folder, options), patients, 'patients')
        folder.warn_of_notes([(patient.name, patient.notes) for patient in good], 'patients')
        if without_lungs := sum(patient.without_lungs for patient in good):
            summary.warn(f'left out: {plural(without_lungs, "slice")} without lungs')
        rows = [row for patient in good for row in patient.rows]
        classes = {patient.name: CNCB_CLASSES[patient.label] for patient in good if patient.rows}
        found = plural(len(patients), 'patient')
        record = dict(options=asdict(options), labels=labels.name)
        return folder.write_slice_lists(rows, classes, CNCB_CLASSES, labels.name, found, **record)


def _class_folders(root: Path, summary: ConversionSummary) -> dict[int, Path]:
    """Return the class folders, by label."""
    folders: dict[int, Path] = {}
    for path in sorted(root.iterdir()):
        match = _FOLDER_NAME.fullmatch(path.name)
        if match and path.is_dir():
            label = _FOLDERS[match[1].lower()]
            if label in folders:
                raise ValueError(f'{folders[label]} and {path} are folders of the same class: keep only one')
            folders[label] = path
    if not folders:
        raise FileNotFoundError(f'{root} contains none of the class folders: {_REMEDY}')
    missing = [name for label, name in enumerate(CNCB_CLASSES) if label not in folders]
    if missing:
        summary.warn(f'{root} has no folder of {", ".join(missing)}')
    return folders


def _find_patients(
    folders: dict[int, Path], labels: dict[str, np.ndarray], index: Path, summary: ConversionSummary
) -> list[_Patient]:
    """Return the patients with slice labels, and the normal ones, who need none.

    Raises:
        ValueError: if two patients have the same name.
    """
    patients, unlabelled = [], []
    seen: dict[str, Path] = {}
    for label, folder in sorted(folders.items()):
        for path in sorted(folder.iterdir()):
            if not path.is_dir() or path.name.startswith('.'):
                continue
            if path.name in seen:
                raise ValueError(f'{seen[path.name]} and {path} are patients with the same name: rename one, also in the index')
            seen[path.name] = path
            if label != NORMAL and path.name not in labels:
                unlabelled.append(path.name)
            else:
                patients.append(_Patient(path.name, path, label, None if label == NORMAL else labels[path.name]))
    if unlabelled:
        summary.warn(f'left out: {plural(len(unlabelled), "patient")} without slice labels ({first_few(unlabelled)})')
    absent = sorted(set(labels) - set(seen))
    if absent:
        summary.warn(f'{index} lists {plural(len(absent), "patient")} whose folder does not exist ({first_few(absent)})')
    return patients


def _convert(patient: _Patient, folder: ResultFolder, options: CtMdOptions) -> _Patient:
    """Write the slices of one patient."""
    scans, problems = [], []
    for item in find_scans(patient.folder, options.reading):
        if isinstance(item, Scan):
            scans.append(item)
        elif not item.clutter:
            problems.append(item)
    scan = _only(patient, scans, problems)
    count = scan.info.num_slices
    known = count if patient.infected is None else min(count, len(patient.infected))
    wanted = {}  # number from the head and label, by index from the feet
    for number in range(0, known, options.every):
        infected = patient.infected is not None and patient.infected[number]
        if infected or patient.infected is None or options.clear_as_normal:
            wanted[count - 1 - number] = (number, patient.label if infected else NORMAL)
    notes = SliceNotes()
    keys = scan.keys()
    for item in scan.read({key for index, key in enumerate(keys) if index not in wanted}):
        if isinstance(item, Problem):
            problems.append(item)
            continue
        number, label = wanted[item.index]
        notes.add(item.name, item.notes)
        if options.only_lungs and label == NORMAL and simple_lung_mask(item.grey, item.window) is None:
            patient.without_lungs += 1
            continue
        name = f'{SLICES}/{patient.name}/{number:04d}.png'
        folder.write_slice(name, item.grey)
        patient.rows.append(dict(img_path=name, label=label, patient_id=patient.name, scan_id=patient.name))
    patient.rows.sort(key=lambda row: row['img_path'])
    patient.notes = [*scan.info.notes, *notes.lines(len(wanted))]
    if problems:
        patient.notes.append(f'{WARNING}{plural(len(problems), "file", "is")} not used: {problems[0]}')
    if known < count:
        patient.notes.append(f'{WARNING}only the first {known} of {count} slices have labels')
    return patient


def _only(patient: _Patient, scans: Sequence[Scan], problems: Sequence[Problem]) -> Scan:
    """Return a patient's only scan, checked against the labels."""
    if not scans:
        raise UnusableError(f'{patient.folder} contains no scan' + (f': {problems[0]}' if problems else ''))
    if len(scans) > 1:
        names = first_few([scan.info.name for scan in scans])
        raise UnusableError(f'{patient.folder} contains {plural(len(scans), "scan")} ({names}): keep only one')
    (scan,) = scans
    if patient.infected is None:
        return scan
    by_order = f'{patient.folder}: labels are matched to slices by order'
    if problems:
        raise UnusableError(f'{by_order}, but {plural(len(problems), "file")} cannot be used: {problems[0]}')
    if scan.place(0)[0] is None:
        raise UnusableError(f'{by_order}, but the slices have no positions, so their order is unknown')
    marked = np.flatnonzero(patient.infected)
    if marked.size and marked[-1] >= scan.info.num_slices:
        raise UnusableError(
            f'{patient.folder} has {plural(scan.info.num_slices, "slice")}, but its labels mark slice {marked[-1] + 1}: '
            'slices are missing, or the labels belong to another patient'
        )
    return scan
