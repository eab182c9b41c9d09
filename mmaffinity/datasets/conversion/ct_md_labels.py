"""The slice labels of COVID-CT-MD: the slices of each patient that show infection."""

import re
from pathlib import Path

import numpy as np

from mmaffinity.utils.wording import first_few, plural

from .lists import PathLike
from .tables import read_table

SOURCE = 'https://github.com/ShahinSHH/COVID-CT-MD'
_LABELS_NAME = re.compile(r'slice[-_ ]level[-_ ]labels.*\.npy', re.IGNORECASE)
_COLUMNS = ('Label Index', 'Folder/ID')


def find_label_files(root: Path, index: PathLike | None = None, labels: PathLike | None = None) -> tuple[Path, Path]:
    """Find the array of slice labels and its index in a folder or its subfolders.

    If there are several, the one with 'updated' in its name is used.

    Args:
        root: the folder.
        index, labels: paths, if known.

    Returns:
        The index (CSV) and the labels (NPY).

    Raises:
        FileNotFoundError: if one is not found.
        ValueError: if several are found.
    """
    return (
        Path(index) if index else _find(root, re.compile(r'index\.csv', re.IGNORECASE), 'Index.csv', '--index'),
        Path(labels) if labels else _find(root, _LABELS_NAME, 'Slice-level-labels.npy', '--labels'),
    )


def _find(root: Path, pattern: re.Pattern, name: str, option: str) -> Path:
    found = [path for level in ('*', '*/*') for path in sorted(root.glob(level)) if pattern.fullmatch(path.name)]
    found = [path for path in found if 'updated' in path.name.lower()] or found
    if not found:
        raise FileNotFoundError(f'{name} is not in {root}: get it from {SOURCE}, or pass its path with {option}')
    if len(found) > 1:
        raise ValueError(f'found more than one {name}: {first_few([str(path) for path in found])}; choose one with {option}')
    return found[0]


def read_slice_labels(index: Path, labels: Path) -> dict[str, np.ndarray]:
    """Read which slices show infection.

    The index gives each patient's row in the array. The published index skips the number 43, for which the array has no row. If
    numbers exceed the rows of the array, but there are as many patients as rows, the patients are assigned in numerical order.

    Args:
        index: CSV with the columns 'Label Index' and 'Folder/ID'.
        labels: array of 0 and 1, shape (patients, slices), slices counted from the head.

    Returns:
        By patient, bool, shape (slices,). All have the width of the array; entries beyond a patient's slices are False.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is invalid, or they do not match.
    """
    array = _read_array(labels)
    rows = _read_index(index)
    numbers = sorted(rows)
    if numbers[-1] < len(array):
        places = {number: number for number in numbers}
    elif len(numbers) == len(array):
        places = {number: place for place, number in enumerate(numbers)}
    else:
        raise ValueError(
            f'{index} has {plural(len(numbers), "patient")} up to number {numbers[-1]}, but {labels} has '
            f'{plural(len(array), "row")}: they do not match; get both from {SOURCE}'
        )
    return {rows[number]: array[places[number]] for number in numbers}


def _read_array(path: Path) -> np.ndarray:
    try:
        # Unpickling could execute code.
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f'the slice labels {path} do not exist: correct --labels') from None
    except (OSError, ValueError, EOFError, MemoryError, SyntaxError) as error:
        raise ValueError(f'{path} is not an array of numbers that NumPy can read ({error}): download it again') from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in 'biuf':
        what = f'{array.dtype} of shape {array.shape}' if isinstance(array, np.ndarray) else 'an archive'
        raise ValueError(
            f'{path} contains {what}, but slice labels are numbers of shape (patients, slices); use '
            'Slice-level-labels, not Lobe-level-labels'
        )
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f'{path} contains the value {array[~np.isin(array, (0, 1))][0]:g}; slice labels must be 0 or 1')
    return array.astype(bool)


def _read_index(path: Path) -> dict[int, str]:
    """Return the patients by number."""
    patients: dict[int, str] = {}
    for line, (number, patient) in read_table(path, _COLUMNS, 'the index', f'get it from {SOURCE}'):
        if not number.isdecimal() or not patient:
            raise ValueError(f'line {line} of {path} has the number {number!r} and the patient {patient!r}')
        if int(number) in patients or patient in patients.values():
            raise ValueError(f'line {line} of {path} repeats number {number} or patient {patient}')
        patients[int(number)] = patient
    if not patients:
        raise ValueError(f'{path} lists no patients')
    return patients
