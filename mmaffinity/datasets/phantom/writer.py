"""Writing of a phantom in the raw layouts of CNCB-NCOV, iCTCF and COVIDx-CT; files are never partial."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from mmaffinity.utils.files import num_bytes, whole_file

from . import covidx_ct
from .patient import SLICE_CLASSES, Patient, make_patient
from .plan import LISTS, VOLUMES, PhantomSettings, list_rows, plan_phantom
from .slices import draw_slice
from .volumes import draw_volumes

MARKER = 'phantom.json'
VERSION = 1  # increase it when the same settings yield other bytes
ABOUT = (
    'Synthetic slices drawn by mmaffinity, no patient data. They stand for data sets that may not be '
    'redistributed and are never a source of results.'
)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PhantomSummary:
    """The result of `write_phantom`.

    Attributes:
        out_dir: folder of the phantom.
        written: number of image, mask and volume files written by this call.
        kept: number of such files that an earlier call with the same settings wrote.
        slices: number of slices by split and class name; lesion-free ones of the segmentation set count as Normal.
        patients: number of patients by split.
    """

    out_dir: Path
    written: int
    kept: int
    slices: dict[str, dict[str, int]]
    patients: dict[str, int]


def _write(path: Path, content: bytes) -> None:
    with whole_file(path, sync=False) as file:
        file.write(content)


def _encode(image: Any, suffix: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == '.jpg' else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    return cv2.imencode(suffix, image, options)[1].tobytes()


def _claim(out_dir: Path, settings: PhantomSettings, overwrite: bool) -> None:
    """Check that the folder may contain a phantom with these settings, and mark it."""
    numbers = {key: int(value) for key, value in asdict(settings).items()}
    wanted = {'about': ABOUT, 'version': VERSION, 'settings': numbers}
    marker = out_dir / MARKER
    if out_dir.exists() and not out_dir.is_dir():
        raise ValueError(f'{out_dir} is a file; choose a folder for the phantom')
    if marker.exists():
        try:
            found = json.loads(marker.read_text(encoding='utf-8'))
            # An older phantom has the default values of settings added later.
            old = {'version': found['version'], **asdict(PhantomSettings()), **found['settings']}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{marker} is not the marker of a phantom ({error}); delete {out_dir} or choose another folder'
            ) from error
        new = {'version': VERSION, **numbers}
        changed = [f'{key} {old.get(key)} -> {new.get(key)}' for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        if not changed:
            return
        if not overwrite:
            raise ValueError(
                f'{out_dir} contains a phantom with other settings ({", ".join(changed)}); choose another folder, or '
                'replace it with --overwrite'
            )
        for folder in ('cncb_ncov', 'ictcf', 'covidx_ct', *VOLUMES):
            if (out_dir / folder).exists():
                shutil.rmtree(out_dir / folder)
    elif out_dir.exists() and any(entry.name != MARKER + '.part' for entry in out_dir.iterdir()):
        raise ValueError(f'{out_dir} is not empty and does not contain a phantom (it has no {MARKER}); choose another folder')
    _write(marker, (json.dumps(wanted, indent=2) + '\n').encode())


def is_phantom(data_root: str | Path | None) -> bool:
    """Return whether a data root belongs to a phantom, as shown by the marker file that :func:`write_phantom` creates."""
    # A phantom has one folder per data set, and its marker next to these folders.
    place = Path(data_root).resolve() if data_root else None
    return place is not None and any((folder / MARKER).is_file() for folder in (place, place.parent))


def write_phantom(
    out_dir: str | Path,
    seed: int = 0,
    size: int = 512,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **counts: int,
) -> PhantomSummary:
    """Draw a phantom and write it in the raw layouts of CNCB-NCOV (`cncb_ncov/`) and iCTCF (`ictcf/`), including their lists.

    `covidx_train`, `covidx_val` and `covidx_test` add slices in the layout of COVIDx-CT version 3A (`covidx_ct/`),
    `nifti_pairs` NIfTI volumes with masks (`nifti_pairs/`), and `covid_ct_md` DICOM series with slice labels in the layout of
    COVID-CT-MD (`covid_ct_md/`).

    The same settings yield the same bytes. Each file appears complete or not at all; the lists come last. A repeated call, for
    example after an interruption, keeps existing files and writes the missing ones.

    Args:
        out_dir: a new or empty folder, or one with a phantom of the same settings.
        seed: seed of all patients.
        size: side length of the slices, pixels.
        overwrite: delete the data sets of a phantom with other settings, and everything converted from them.
        progress: called with (slices done, slices in total) after every slice.
        **counts: the other fields of `PhantomSettings`.

    Raises:
        ValueError: if a setting is out of range, or the folder contains anything else.
        TypeError: if a setting does not exist.
    """
    settings = PhantomSettings(seed=seed, size=size, **counts)
    out_dir = Path(out_dir)
    plan = plan_phantom(settings)
    _claim(out_dir, settings, overwrite)
    patients: dict[int, Patient] = {}
    written = kept = 0
    for done, row in enumerate(plan, 1):
        paths = [out_dir / path for path in (row.image, row.mask) if path]
        missing = [path for path in paths if not num_bytes(path)]
        if row.number not in patients:
            patients[row.number] = make_patient(settings.seed, row.number, row.label)
        if missing:
            drawn = draw_slice(patients[row.number], row.level, settings.size, row.scanner, row.lesions)
            for path, image in zip(paths, drawn):
                if path in missing:
                    _write(path, _encode(image, path.suffix))
        written, kept = written + len(missing), kept + len(paths) - len(missing)
        if progress is not None:
            progress(done, len(plan))
    covidx = dict.fromkeys((row.split, row.label, row.number) for row in plan if row.split in covidx_ct.LISTS)
    if covidx:
        _write(out_dir / covidx_ct.METADATA, covidx_ct.metadata_csv(covidx).encode())
    for name, content in draw_volumes(settings):
        path = out_dir / name
        there = bool(num_bytes(path))
        if not there:
            _write(path, content())
        written, kept = written + (not there), kept + there
    for split, rows in list_rows(plan, settings, patients).items():
        _write(out_dir / {**LISTS, **covidx_ct.LISTS}[split], ''.join(row + '\n' for row in rows).encode())
    slices: dict[str, dict[str, int]] = {}
    numbers: dict[str, set] = {}
    for row in plan:
        classes = slices.setdefault(row.split, dict.fromkeys(SLICE_CLASSES, 0))
        classes[SLICE_CLASSES[row.label if row.lesions else 0]] += 1
        numbers.setdefault(row.split, set()).add(row.number)
    return PhantomSummary(out_dir, written, kept, slices, {split: len(found) for split, found in numbers.items()})
