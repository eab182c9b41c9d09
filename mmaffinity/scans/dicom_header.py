"""Read the header of a DICOM slice, and check that it is an axial CT slice."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.optional import require
from mmaffinity.utils.wording import plural

from .dicom_values import digest, numbers, values_of, whole_number
from .frame_pixels import Frame
from .geometry import head_normal
from .items import check_side
from .notes import WARNING
from .opening import Clutter, printable
from .plausibility import AIR_BELOW

CT_CLASSES = ('1.2.840.10008.5.1.4.1.1.2',)
DIRECTORY = '1.2.840.10008.1.3.10'
SUBJECT = ('PatientID', 'PatientName', 'PatientBirthDate', 'StudyDate')  # tell patients and visits apart if UIDs do not
TAGS = (
    'SOPClassUID',
    'SOPInstanceUID',
    'SeriesInstanceUID',
    'StudyInstanceUID',
    'Modality',
    'ImageType',
    'Rows',
    'Columns',
    'NumberOfFrames',
    'SamplesPerPixel',
    'BitsAllocated',
    'ImageOrientationPatient',
    'ImagePositionPatient',
    'PixelSpacing',
    'SliceThickness',
    'SliceLocation',
    'InstanceNumber',
    'GantryDetectorTilt',
    'BodyPartExamined',
    'ModalityLUTSequence',
    'PhotometricInterpretation',
    'RescaleSlope',
    'RescaleIntercept',
    'PixelRepresentation',
    'OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity',
    *SUBJECT,
)
CHEST = ('CHEST', 'THORAX', 'TORAX', 'LUNG', 'PULM')  # substrings of BodyPartExamined, which may also name combinations
# Limits in mm. Header entries beyond them are damaged or hostile; within them, sums and products stay finite.
SIZES = (1e-3, 1e3)  # of pixels and of slices
FARTHEST = 1e6  # from the scanner's origin
STEEPEST = 90.0  # degrees, of the gantry
AXIS = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """The header values of a CT slice that ordering, geometry and pixel decoding need.

    Attributes:
        path: the file.
        name: display name.
        key: name, size and modification time.
        instance_uid, series_uid, study_uid: DICOM's identifiers.
        shape: rows, columns as stored.
        orientation: directions of increasing column and row index, six cosines; None if absent.
        corner: centre of the first pixel in mm; None if absent.
        spacing: distance between rows and between columns in mm; None if absent.
        thickness: in mm; None if absent.
        location, number: SliceLocation in mm and InstanceNumber, which order slices without ``corner``.
        tilt: gantry tilt in degrees; 0 if absent.
        notes: assumptions and warnings about the series.
        subject: for each of :data:`SUBJECT`, a digest that distinguishes values without revealing them; empty if absent.
        frame: location of the slice in a multi-frame file; None for a single-slice file.
        stack: values that distinguish the slice's stack, phase or reconstruction from others in its file.
    """

    path: Path
    name: str
    key: str
    instance_uid: str
    series_uid: str
    study_uid: str
    shape: tuple[int, int]
    orientation: tuple[float, ...] | None
    corner: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float | None
    location: float | None
    number: int | None
    tilt: float
    notes: tuple[str, ...]
    subject: tuple[str, ...] = ()
    frame: Frame | None = None
    stack: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        """Unique identifier of the slice; '' if the file has no UID."""
        return f'{self.instance_uid}#{self.frame.number}' if self.instance_uid and self.frame else self.instance_uid

    @property
    def normal(self) -> np.ndarray:
        """Unit normal of the slice, pointing to the head; that of a slice across the body axis without ``orientation``."""
        return AXIS if self.orientation is None else head_normal(self.orientation[3:], self.orientation[:3])

    @property
    def group(self) -> tuple:
        """Values that are equal for all slices of a scan; see also :meth:`fits`."""
        # Without a series UID, only the folder separates patients.
        folder = '' if self.series_uid else str(self.path.parent)
        return (
            self.study_uid,
            self.series_uid,
            folder,
            self.shape,
            self.orientation is None,
            self.spacing is None,
            self.corner is None,
            self.frame.unit if self.frame else '',
            self.stack,
        )

    def fits(self, other: 'DicomHeader') -> bool:
        """Return whether a slice of the same group has the same orientation and spacing.

        They are compared with a tolerance because writers round them; rounding them again would only move the boundaries.
        """
        near = all(
            math.isclose(one, two, abs_tol=0.01, rel_tol=0)
            for one, two in zip(self.orientation or (), other.orientation or (), strict=True)
        )
        # A relative error of 0.001 is half a pixel across 512 pixels.
        return near and all(
            math.isclose(one, two, rel_tol=1e-3) for one, two in zip(self.spacing or (), other.spacing or (), strict=True)
        )


def to_header(data: Any, path: Path, name: str, key: str) -> DicomHeader:
    """Validate the header of an axial CT slice, and keep the entries that are needed.

    Args:
        data: a dataset, or values by keyword.
        path, name, key: as in :class:`DicomHeader`.

    Raises:
        Clutter: if the file is a DICOMDIR.
        ValueError: if it is not an axial CT slice; the message says what it is.
    """
    sop_class, modality = _text(data, 'SOPClassUID'), _text(data, 'Modality').upper()
    image_type = [str(value).strip().upper() for value in values_of(data, 'ImageType')]
    notes: list[str] = []
    if _is_directory(data, sop_class):
        raise Clutter('is a DICOMDIR (disc index), which is not needed: the slices are in the folders next to it')
    if modality and modality != 'CT':
        raise ValueError(f'has modality {printable(modality)[:16]}, not CT')
    if 'LOCALIZER' in image_type:
        raise ValueError('is a localizer (scout view), not an axial slice')
    if sop_class and sop_class not in CT_CLASSES:
        raise ValueError(f'is not a CT image: {_class_name(sop_class)}')
    if not modality and not sop_class:
        raise ValueError('has neither Modality nor SOPClassUID: it may not be DICOM')
    frames = whole_number(data, 'NumberOfFrames', 0)
    if frames > 1:
        raise ValueError(
            f'has {plural(frames, "frame")} in one file, but is not Enhanced CT: convert it to one file per '
            'slice, or to NIfTI with dcm2niix'
        )
    rows, columns = whole_number(data, 'Rows', 0), whole_number(data, 'Columns', 0)
    if not rows or not columns:
        raise ValueError('has no pixels: Rows or Columns is missing or 0')
    check_side(rows, columns)
    samples = whole_number(data, 'SamplesPerPixel', 1)
    if samples > 1:
        raise ValueError(f'has {samples} samples per pixel: it is a colour image, not a CT slice')
    photometric = _text(data, 'PhotometricInterpretation').upper()
    if photometric not in ('', 'MONOCHROME1', 'MONOCHROME2'):
        raise ValueError(
            f'has PhotometricInterpretation {printable(photometric)[:16]}: its values are colours, not '
            'Hounsfield units; export the slice as MONOCHROME2'
        )
    if 'ModalityLUTSequence' in data:
        raise ValueError('has a modality lookup table, which is not supported: export it with a rescale slope and intercept')
    orientation = numbers(data, 'ImageOrientationPatient', 6, notes)
    corner = _bounded(data, 'ImagePositionPatient', 3, (0, FARTHEST), notes)
    if orientation is None:
        notes.append('no ImageOrientationPatient: assumed axial and supine, in the radiological view')
    else:
        head_normal(orientation[3:], orientation[:3])
    spacing = _bounded(data, 'PixelSpacing', 2, SIZES, notes)
    if spacing is None:
        usable = 'usable ' if values_of(data, 'PixelSpacing') else ''
        notes.append(f'no {usable}PixelSpacing: areas and volumes are unknown')
    part = _text(data, 'BodyPartExamined').upper()
    if part and not any(name in part for name in CHEST):
        notes.append(f'{WARNING}BodyPartExamined is {printable(part)[:32]}: the model was trained on chest CT only')
    slope, intercept = numbers(data, 'RescaleSlope', 1, []), numbers(data, 'RescaleIntercept', 1, [])
    if slope and intercept and slope[0] > 0 and intercept[0] > AIR_BELOW and data.get('PixelRepresentation') == 0:
        notes.append(
            f'{WARNING}RescaleSlope {slope[0]:g} and RescaleIntercept {intercept[0]:g} of unsigned pixels: no value '
            f'can be below {intercept[0]:g} HU, so there is no air; the rescale tags are probably wrong (12-bit '
            'values that start at air need intercept -1024)'
        )
    thickness = _bounded(data, 'SliceThickness', 1, SIZES, notes)
    tilt = _bounded(data, 'GantryDetectorTilt', 1, (0, STEEPEST), notes)
    location = _bounded(data, 'SliceLocation', 1, (0, FARTHEST), notes)
    number = numbers(data, 'InstanceNumber', 1, notes)
    return DicomHeader(
        path=path,
        name=name,
        key=key,
        instance_uid=_uid(data, 'SOPInstanceUID'),
        series_uid=shared(_uid(data, 'SeriesInstanceUID')),
        study_uid=shared(_uid(data, 'StudyInstanceUID')),
        shape=(rows, columns),
        orientation=shared(orientation),
        corner=corner,
        spacing=shared(None if spacing is None else (spacing[0], spacing[1])),
        thickness=thickness[0] if thickness else None,
        location=location[0] if location else None,
        number=int(number[0]) if number else None,
        tilt=tilt[0] if tilt else 0.0,
        notes=shared(tuple(dict.fromkeys(notes))),
        subject=shared(tuple(digest(data, keyword) for keyword in SUBJECT)),
    )


def _is_directory(data: Any, sop_class: str) -> bool:
    stated = str(getattr(getattr(data, 'file_meta', None), 'MediaStorageSOPClassUID', '') or '')
    return stated == DIRECTORY or not sop_class and 'OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity' in data


@lru_cache(maxsize=256)
def shared(value: Any) -> Any:
    """Return one object for all equal values, so that a series stores its common values once."""
    return value


def _text(data: Any, keyword: str) -> str:
    return ' '.join(str(value) for value in values_of(data, keyword)).strip(' \0')


def _bounded(data: Any, keyword: str, count: int, size: tuple[float, float], notes: list[str]) -> tuple[float, ...] | None:
    """Return the numbers of a header entry; None, with a note, if a magnitude is outside ``size``."""
    found = numbers(data, keyword, count, notes)
    if found is None or all(size[0] <= abs(number) <= size[1] for number in found) and (size[0] == 0 or min(found) > 0):
        return found
    # No note for zeros: many writers use zero for an unknown value.
    if any(found):
        notes.append(
            f'{keyword} is {", ".join(f"{number:g}" for number in found)}, which is impossible (outside '
            f'{size[0]:g} to {size[1]:g}): ignored'
        )
    return None


def _uid(data: Any, keyword: str) -> str:
    return printable(_text(data, keyword))[:64]


def _class_name(uid: str) -> str:
    try:
        return str(require('pydicom.uid', 'medical').UID(uid).name)[:80]
    except ValueError:
        return printable(uid)[:64]
