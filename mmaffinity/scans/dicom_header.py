"""What a DICOM file says of itself, read without its pixels, and whether that is an axial CT slice."""
import math
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mmaffinity.datasets.transforms.decoding import MAX_PIXELS
from mmaffinity.utils.optional import require

from .geometry import head_normal
from .items import check_side
from .opening import MAX_FILE_BYTES, brief, open_regular, printable

DEFLATED = b'1.2.840.10008.1.2.1.99'
CT_CLASSES = ('1.2.840.10008.5.1.4.1.1.2',)
ENHANCED_CT = '1.2.840.10008.5.1.4.1.1.2.1'
TAGS = ('SOPClassUID', 'SOPInstanceUID', 'SeriesInstanceUID', 'StudyInstanceUID', 'Modality', 'ImageType', 'Rows',
        'Columns', 'NumberOfFrames', 'SamplesPerPixel', 'BitsAllocated', 'ImageOrientationPatient',
        'ImagePositionPatient', 'PixelSpacing', 'SliceThickness', 'SliceLocation', 'InstanceNumber',
        'GantryDetectorTilt', 'BodyPartExamined', 'ModalityLUTSequence')
NOT_CHEST = ('HEAD', 'BRAIN', 'SKULL', 'NECK', 'ABDOMEN', 'PELVIS', 'KNEE', 'HIP', 'FOOT', 'ANKLE', 'HAND', 'WRIST',
             'SHOULDER', 'LSPINE', 'CSPINE', 'SINUS', 'EXTREMITY', 'LEG', 'ARM')


@dataclass(frozen=True)
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

    @property
    def group(self) -> tuple:
        """What the slices of one scan have in common; a series may also hold a localizer or another reconstruction."""
        def rounded(values: Sequence[float] | None, digits: int) -> tuple | None:
            return None if values is None else tuple(round(value, digits) + 0.0 for value in values)
        return self.series_uid, self.shape, rounded(self.orientation, 2), rounded(self.spacing, 3), self.corner is None


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
            _check_deflated(file)
            return pydicom.dcmread(file, force=True, stop_before_pixels=header_only,
                                   specific_tags=list(TAGS) if header_only else None)
        except (MemoryError, Exception) as error:
            raise ValueError(f'is damaged DICOM: {brief(error)}') from error


def _check_deflated(file: BinaryIO) -> None:
    """Refuse a deflated file that unpacks to more than a file may have; pydicom would unpack it whole."""
    head = file.read(4096)
    file.seek(0)
    if head[128:132] != b'DICM' or DEFLATED not in head:
        return
    # The first element is the length of the group that names the transfer syntax; what is packed follows it.
    if head[132:140] != b'\2\0\0\0UL\4\0':
        raise ValueError('it is deflated, without saying from where on')
    file.seek(144 + int.from_bytes(head[140:144], 'little'))
    unpack, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpack.eof and (packed := unpack.unconsumed_tail or file.read(1 << 16)):
        total += len(unpack.decompress(packed, 1 << 20))
        if total > MAX_FILE_BYTES:
            raise ValueError(f'it unpacks to more than {MAX_FILE_BYTES} bytes')
    file.seek(0)


def read_header(path: Path, name: str, key: str) -> DicomHeader:
    """Read the header of an axial CT slice.

    Raises:
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
    sop_class, modality = str(data.get('SOPClassUID') or ''), str(data.get('Modality') or '').strip().upper()
    image_type = [str(value).upper() for value in _values(data.get('ImageType'))]
    notes = []
    if sop_class == ENHANCED_CT or int(data.get('NumberOfFrames') or 1) > 1:
        raise ValueError(f'holds {data.get("NumberOfFrames")} frames in one file (enhanced DICOM), which is not '
                         'read: convert it to one file per slice, or to NIfTI with dcm2niix')
    if modality and modality != 'CT':
        raise ValueError(f'has modality {printable(modality)[:16]}, not CT')
    if 'LOCALIZER' in image_type:
        raise ValueError('is a localizer (scout view), not an axial slice')
    if sop_class and sop_class not in CT_CLASSES:
        raise ValueError(f'is no CT image: {_class_name(sop_class)}')
    if not modality and not sop_class:
        raise ValueError('says neither modality nor kind of image: is it DICOM at all?')
    rows, columns = int(data.get('Rows') or 0), int(data.get('Columns') or 0)
    check_side(rows, columns)
    if rows * columns > MAX_PIXELS:
        raise ValueError(f'claims {rows} x {columns} pixels, more than {MAX_PIXELS}')
    if int(data.get('SamplesPerPixel') or 1) != 1:
        raise ValueError(f'has {data.SamplesPerPixel} samples per pixel: it is a colour picture, no CT slice')
    if 'ModalityLUTSequence' in data:
        raise ValueError('has a modality look-up table instead of a rescale slope, which is not read')
    orientation = _floats(data, 'ImageOrientationPatient', 6)
    corner = _floats(data, 'ImagePositionPatient', 3)
    if orientation is None:
        notes.append('no ImageOrientationPatient: taken as an axial slice, lying on the back, in the radiological view')
    else:
        head_normal(orientation[3:], orientation[:3])
    spacing = _floats(data, 'PixelSpacing', 2)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    if spacing is None:
        notes.append('no PixelSpacing: areas and volumes are unknown')
    part = str(data.get('BodyPartExamined') or '').strip().upper()
    if part and any(part.startswith(other) for other in NOT_CHEST):
        notes.append(f'BodyPartExamined is {printable(part)[:32]}: the model knows the chest only')
    thickness, tilt = _floats(data, 'SliceThickness', 1), _floats(data, 'GantryDetectorTilt', 1)
    location, number = _floats(data, 'SliceLocation', 1), _floats(data, 'InstanceNumber', 1)
    return DicomHeader(
        path=path, name=name, key=key, instance_uid=_uid(data, 'SOPInstanceUID'),
        series_uid=_uid(data, 'SeriesInstanceUID'), study_uid=_uid(data, 'StudyInstanceUID'), shape=(rows, columns),
        orientation=orientation, corner=corner, spacing=None if spacing is None else (spacing[0], spacing[1]),
        thickness=thickness[0] if thickness and thickness[0] > 0 else None, location=location[0] if location else None,
        number=int(number[0]) if number else None, tilt=tilt[0] if tilt else 0.0, notes=tuple(notes))


def _values(value: Any) -> list:
    if value is None:
        return []
    return [value] if isinstance(value, (str, bytes)) or not hasattr(value, '__iter__') else list(value)


def _floats(data: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """Finite numbers of a header entry; None where they are absent or not ``count``."""
    try:
        numbers = tuple(float(value) for value in _values(data.get(keyword)))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _uid(data: Any, keyword: str) -> str:
    return printable(str(data.get(keyword) or ''))[:64]


def _class_name(uid: str) -> str:
    try:
        return str(require('pydicom.uid', 'medical').UID(uid).name)[:80]
    except ValueError:
        return printable(uid)[:64]
