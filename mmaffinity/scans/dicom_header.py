"""What a DICOM file says of itself, read without its pixels, and whether that is an axial CT slice."""
import math
import warnings
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from mmaffinity.utils.optional import require
from mmaffinity.utils.wording import plural

from .dicom_values import digest, numbers, values_of, whole_number
from .geometry import head_normal
from .items import check_side
from .notes import WARNING
from .opening import MAX_FILE_BYTES, Clutter, brief, open_regular, printable
from .plausibility import AIR_BELOW

CT_CLASSES = ('1.2.840.10008.5.1.4.1.1.2',)
ENHANCED_CT = '1.2.840.10008.5.1.4.1.1.2.1'
DIRECTORY = '1.2.840.10008.1.3.10'
SUBJECT = ('PatientID', 'PatientName', 'PatientBirthDate', 'StudyDate')  # tell patients and visits apart where UIDs do not
TAGS = ('SOPClassUID', 'SOPInstanceUID', 'SeriesInstanceUID', 'StudyInstanceUID', 'Modality', 'ImageType', 'Rows',
        'Columns', 'NumberOfFrames', 'SamplesPerPixel', 'BitsAllocated', 'ImageOrientationPatient',
        'ImagePositionPatient', 'PixelSpacing', 'SliceThickness', 'SliceLocation', 'InstanceNumber',
        'GantryDetectorTilt', 'BodyPartExamined', 'ModalityLUTSequence', 'PhotometricInterpretation', 'RescaleSlope',
        'RescaleIntercept', 'PixelRepresentation', 'OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity', *SUBJECT)
CHEST = ('CHEST', 'THORAX', 'TORAX', 'LUNG', 'PULM')  # within BodyPartExamined, which also names combinations
# Lengths in mm beyond which a header entry is damaged or hostile; sums and products of those within stay finite.
SIZES = (1e-3, 1e3)  # of pixels and of slices
FARTHEST = 1e6  # from the scanner's origin
STEEPEST = 90.0  # degrees, of the gantry


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """The few values of a CT slice's header that ordering, geometry and pixels need.

    Attributes:
        path: the file.
        name: for people.
        key: name, size and time of change.
        instance_uid, series_uid, study_uid: DICOM's identifiers.
        shape: rows, columns as stored.
        orientation: directions of growing column and of growing row index, six cosines; None where absent.
        corner: centre of the first pixel, mm; None where absent.
        spacing: between rows, between columns, mm; None where absent.
        thickness: mm; None where absent.
        location, number: SliceLocation in mm and InstanceNumber, which order slices without ``corner``.
        tilt: of the gantry, degrees; 0 where absent.
        notes: what is doubtful, as sentences about the series.
        subject: for each of :data:`SUBJECT`, a digest that tells values apart and names none; empty where absent.
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

    @property
    def group(self) -> tuple:
        """What the slices of one scan have exactly in common; see also :meth:`fits`."""
        # Without a series UID, nothing but the folder keeps patients apart.
        folder = '' if self.series_uid else str(self.path.parent)
        return (self.study_uid, self.series_uid, folder, self.shape, self.orientation is None, self.spacing is None,
                self.corner is None)

    def fits(self, other: 'DicomHeader') -> bool:
        """Whether a slice of the same group is of the same reconstruction: orientation and spacing agree.

        They are compared within a tolerance: writers round them, and rounding once more only moves where they split.
        """
        near = all(math.isclose(one, two, abs_tol=0.01, rel_tol=0)
                   for one, two in zip(self.orientation or (), other.orientation or (), strict=True))
        # A thousandth is half a pixel over a slice of 512.
        return near and all(math.isclose(one, two, rel_tol=1e-3)
                            for one, two in zip(self.spacing or (), other.spacing or (), strict=True))


def read_dataset(path: Path, header_only: bool = False) -> Any:
    """Read a DICOM file with pydicom, within bounds.

    Returns:
        pydicom's dataset.

    Raises:
        ValueError: without pydicom, or if it is no whole DICOM file, or unpacks to more than a slice can have.
    """
    pydicom = require('pydicom', 'medical')
    with open_regular(path, MAX_FILE_BYTES) as file, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of odd values in headers; those that matter are checked
        try:
            return pydicom.dcmread(_DeflateGuard(file), force=True, stop_before_pixels=header_only,
                                   specific_tags=list(TAGS) if header_only else None)
        except (MemoryError, Exception) as error:
            raise ValueError(f'is damaged DICOM: {brief(error)}') from error


class _DeflateGuard:
    """A file whose rest can only be taken at once if it does not unpack to more than a file may have.

    What of a deflated file is packed only pydicom's own parsing tells, and any other reading of the header can be led
    to another result. But pydicom unpacks nothing except what it takes by a read without size.

    Args:
        file: open for reading.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.name, self.seek, self.tell = file.name, file.seek, file.tell

    def read(self, size: int | None = None) -> bytes:
        """Read as a file does; raises ValueError for a rest that unpacks to too much."""
        if size is not None and size >= 0:
            return self._file.read(size)
        rest = self._file.read()
        unpack, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        for start in range(0, len(rest), 1 << 16):
            packed = rest[start:start + (1 << 16)]
            while packed and not unpack.eof:
                total += len(unpack.decompress(packed, 1 << 20))
                packed = unpack.unconsumed_tail
                if total > MAX_FILE_BYTES:
                    raise ValueError(f'it unpacks to more than {MAX_FILE_BYTES} bytes')
        return rest


def read_header(path: Path, name: str, key: str) -> DicomHeader:
    """Read the header of an axial CT slice.

    Raises:
        Clutter: if the file is a DICOMDIR.
        ValueError: without pydicom, or if the file is no DICOM, or no axial CT slice; the message says what it is.
    """
    data = read_dataset(path, header_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return _to_header(data, path, name, key)
    except ValueError:
        raise
    except (MemoryError, Exception) as error:
        raise ValueError(f'has a damaged DICOM header: {brief(error)}') from error


def _to_header(data: Any, path: Path, name: str, key: str) -> DicomHeader:
    sop_class, modality = _text(data, 'SOPClassUID'), _text(data, 'Modality').upper()
    image_type = [str(value).strip().upper() for value in values_of(data, 'ImageType')]
    notes: list[str] = []
    if _is_directory(data, sop_class):
        raise Clutter('is a DICOMDIR, the index of a disc, and not needed: the slices are in the folders beside it')
    if modality and modality != 'CT':
        raise ValueError(f'has modality {printable(modality)[:16]}, not CT')
    if 'LOCALIZER' in image_type:
        raise ValueError('is a localizer (scout view), not an axial slice')
    if sop_class and sop_class not in (*CT_CLASSES, ENHANCED_CT):
        raise ValueError(f'is no CT image: {_class_name(sop_class)}')
    if not modality and not sop_class:
        raise ValueError('says neither modality nor kind of image: is it DICOM at all?')
    _check_frames(data, sop_class)
    rows, columns = whole_number(data, 'Rows', 0), whole_number(data, 'Columns', 0)
    if not rows or not columns:
        raise ValueError('has no pixels: its Rows or Columns are absent or 0')
    check_side(rows, columns)
    samples = whole_number(data, 'SamplesPerPixel', 1)
    if samples > 1:
        raise ValueError(f'has {samples} samples per pixel: it is a colour picture, no CT slice')
    photometric = _text(data, 'PhotometricInterpretation').upper()
    if photometric not in ('', 'MONOCHROME1', 'MONOCHROME2'):
        raise ValueError(f'has PhotometricInterpretation {printable(photometric)[:16]}: its values are colours, not '
                         'measurements; export the slice as MONOCHROME2')
    if 'ModalityLUTSequence' in data:
        raise ValueError('has a modality look-up table instead of a rescale slope, which is not read')
    orientation = numbers(data, 'ImageOrientationPatient', 6, notes)
    corner = _bounded(data, 'ImagePositionPatient', 3, (0, FARTHEST), notes)
    if orientation is None:
        notes.append('no ImageOrientationPatient: taken as an axial slice, lying on the back, in the radiological view')
    else:
        head_normal(orientation[3:], orientation[:3])
    spacing = _bounded(data, 'PixelSpacing', 2, SIZES, notes)
    if spacing is None:
        usable = 'usable ' if values_of(data, 'PixelSpacing') else ''
        notes.append(f'no {usable}PixelSpacing: areas and volumes are unknown')
    part = _text(data, 'BodyPartExamined').upper()
    if part and not any(name in part for name in CHEST):
        notes.append(f'{WARNING}BodyPartExamined is {printable(part)[:32]}: the model knows the chest only')
    slope, intercept = numbers(data, 'RescaleSlope', 1, []), numbers(data, 'RescaleIntercept', 1, [])
    if slope and intercept and slope[0] > 0 and intercept[0] > AIR_BELOW and data.get('PixelRepresentation') == 0:
        notes.append(f'{WARNING}RescaleSlope {slope[0]:g} and RescaleIntercept {intercept[0]:g} of unsigned pixels: no value '
                     f'can lie below {intercept[0]:g} HU, so there is no air; the rescale tags are probably wrong (12-bit '
                     'values that start at air have the intercept -1024)')
    thickness = _bounded(data, 'SliceThickness', 1, SIZES, notes)
    tilt = _bounded(data, 'GantryDetectorTilt', 1, (0, STEEPEST), notes)
    location = _bounded(data, 'SliceLocation', 1, (0, FARTHEST), notes)
    number = numbers(data, 'InstanceNumber', 1, notes)
    return DicomHeader(
        path=path, name=name, key=key, instance_uid=_uid(data, 'SOPInstanceUID'),
        series_uid=_shared(_uid(data, 'SeriesInstanceUID')), study_uid=_shared(_uid(data, 'StudyInstanceUID')),
        shape=(rows, columns), orientation=_shared(orientation), corner=corner,
        spacing=_shared(None if spacing is None else (spacing[0], spacing[1])),
        thickness=thickness[0] if thickness else None, location=location[0] if location else None,
        number=int(number[0]) if number else None, tilt=tilt[0] if tilt else 0.0,
        notes=_shared(tuple(dict.fromkeys(notes))), subject=_shared(tuple(digest(data, keyword) for keyword in SUBJECT)))


def _is_directory(data: Any, sop_class: str) -> bool:
    stated = str(getattr(getattr(data, 'file_meta', None), 'MediaStorageSOPClassUID', '') or '')
    return stated == DIRECTORY or \
        not sop_class and 'OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity' in data


def _check_frames(data: Any, sop_class: str) -> None:
    """Refuse what holds several frames.

    Raises:
        ValueError: for enhanced CT, and any other file of more than one frame.
    """
    frames = whole_number(data, 'NumberOfFrames', 0)
    if sop_class != ENHANCED_CT and frames <= 1:
        return
    if not frames:
        raise ValueError('is enhanced (multi-frame) CT, but has no NumberOfFrames: export it again, or convert it to one file '
                         'per slice')
    raise ValueError(f'holds {plural(frames, "frame")} in one file (enhanced DICOM), which is not read: convert it to one file '
                     'per slice, or to NIfTI with dcm2niix')


@lru_cache(maxsize=256)
def _shared(value: Any) -> Any:
    """The same object for equal values: what the slices of a series have in common is kept once, not for each."""
    return value


def _text(data: Any, keyword: str) -> str:
    return ' '.join(str(value) for value in values_of(data, keyword)).strip(' \0')


def _bounded(data: Any, keyword: str, count: int, size: tuple[float, float], notes: list[str]) -> tuple[float, ...] | None:
    """Numbers of a header entry whose size without sign is within bounds; None, with a note, where one is not."""
    found = numbers(data, keyword, count, notes)
    if found is None or all(size[0] <= abs(number) <= size[1] for number in found) and (size[0] == 0 or min(found) > 0):
        return found
    # Zero is how many writers say that they do not know.
    if any(found):
        notes.append(f'{keyword} is {", ".join(f"{number:g}" for number in found)}, which cannot be (sizes from '
                     f'{size[0]:g} to {size[1]:g} are read): taken as absent')
    return None


def _uid(data: Any, keyword: str) -> str:
    return printable(_text(data, keyword))[:64]


def _class_name(uid: str) -> str:
    try:
        return str(require('pydicom.uid', 'medical').UID(uid).name)[:80]
    except ValueError:
        return printable(uid)[:64]
