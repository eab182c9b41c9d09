"""Open untrusted files (regular files of limited size only), and detect their type."""

import os
import stat
import zlib
from pathlib import Path
from typing import BinaryIO

from mmaffinity.utils.decoding import starts_like_image

MAX_FILE_BYTES = 512 * 1024**2  # of an image or DICOM file; a CT slice has about half a megabyte
ANALYZE_SIZE = 348  # bytes of the header, which begins with its size
HEAD_BYTES = 544  # covers the DICOM prefix and the headers of NIfTI-1 and NIfTI-2

DICOM, NIFTI, IMAGE = 'dicom', 'nifti', 'image'
_OTHER_STARTS = (
    (b'PK\x03\x04', 'is a zip archive: unpack it'),
    (b'PK\x05\x06', 'is an empty zip archive'),
    (b'BZh', 'is bzip2-compressed: unpack it'),
    (b'\xfd7zXZ', 'is xz-compressed: unpack it'),
    (b'\x28\xb5\x2f\xfd', 'is zstd-compressed: unpack it'),
    (b'Rar!', 'is a RAR archive: unpack it'),
    (b"7z\xbc\xaf'\x1c", 'is a 7z archive: unpack it'),
    (b'\x89HDF', 'is HDF5: save it as NIfTI'),
    (b'NRRD', 'is NRRD: save it as NIfTI'),
    (b'ObjectType = Image', 'is MetaImage: save it as NIfTI'),
    (b'\x93NUMPY', 'is a NumPy array: pass it to the Python API'),
    (b'GIF8', 'is GIF: save it as PNG'),
    (b'%PDF', 'is a PDF: save its pictures as PNG'),
    (b'\0\0\0\x0cjP  \r\n\x87\n', 'is JPEG 2000: save it as PNG'),
    (b'\xff\x4f\xff\x51', 'is a JPEG 2000 code stream: save it as PNG'),
    (b'\0\0\0\x0cJXL \r\n\x87\n', 'is JPEG XL: save it as PNG'),
    (b'\xff\x0a', 'is JPEG XL: save it as PNG'),
    (b'8BPS', 'is a Photoshop file: save it as PNG'),
    (b'v/1\x01', 'is OpenEXR: save it as PNG'),
    (b'version https://git-lfs', 'is a Git LFS pointer: fetch the file itself with git lfs pull'),
)
_BOXES = ((b'avi', 'AVIF'), (b'hei', 'HEIC'), (b'hev', 'HEIC'), (b'mif1', 'HEIF'), (b'msf1', 'HEIF'))  # by brand
# Lower-case names of files that operating systems leave in any folder.
_CLUTTER = frozenset(
    ('.ds_store', '.localized', '.directory', 'thumbs.db', 'ehthumbs.db', 'desktop.ini', 'autorun.inf', '.picasa.ini', 'icon\r')
)
_APPLE_DOUBLE = (b'\0\x05\x16\x07', b'\0\x05\x16\0')
# Value representations at the start of a DICOM file with explicit VR (PS3.5, section 7.1).
_FIRST_TYPES = frozenset((b'UL', b'UI', b'CS', b'OB', b'SH', b'LO', b'DA', b'TM', b'DT', b'AE', b'AS', b'US', b'IS', b'ST'))


class Clutter(ValueError):
    """A file that accompanies scans but contains none, such as a disc index or file-manager files."""


def open_regular(path: Path, max_bytes: int | None = None) -> BinaryIO:
    """Open a regular file for reading; links, devices and pipes could lead elsewhere or never end.

    Raises:
        ValueError: if it is not a regular file, cannot be opened, is empty, or has more than ``max_bytes``.
    """
    flags = os.O_RDONLY | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise ValueError(f'cannot be opened: {getattr(error, "strerror", None) or error}') from error
    file = None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError('is not a regular file')
        if status.st_size == 0:
            raise ValueError('is empty (0 bytes): copy or download it again')
        if max_bytes is not None and status.st_size > max_bytes:
            raise ValueError(f'has {status.st_size} bytes, above the limit of {max_bytes}')
        file = os.fdopen(descriptor, 'rb')
        return file
    finally:
        if file is None:
            os.close(descriptor)


def read_regular(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a whole file; see :func:`open_regular`."""
    with open_regular(path, max_bytes) as file:
        try:
            return file.read(max_bytes)
        except OSError as error:
            raise ValueError(f'cannot be read: {error.strerror or error}') from error


def file_key(path: Path) -> str:
    """Return a file's size and modification time as a key that changes when the file does."""
    status = os.stat(path, follow_symlinks=False)
    return f'{status.st_size}.{status.st_mtime_ns}'


def printable(path: str | os.PathLike) -> str:
    """Return a path for display, JSON and CSV, with invalid Unicode and line breaks escaped."""
    text = os.fsencode(path).decode('utf-8', 'backslashreplace')
    return ''.join(char if char.isprintable() else char.encode('unicode_escape').decode() for char in text)


def brief(error: BaseException, length: int = 300) -> str:
    """Return an error as a single line of limited length."""
    # pydicom includes the traceback of an inner error in the message.
    text = ' '.join(str(error).partition('Traceback (most recent call last)')[0].split())
    # Our own messages are complete; those of libraries are often unclear without the error's type.
    text = text if type(error) in (ValueError, Clutter) and text else f'{type(error).__name__}: {text}'.rstrip(': ')
    return text if len(text) <= length else text[: length - 1] + '\u2026'


def kind_of(path: Path) -> str:
    """Detect the type of a file from its content: 'dicom', 'nifti' or 'image'.

    Raises:
        ValueError: if it is none of these; the message says what it looks like.
    """
    with open_regular(path) as file:
        head = file.read(HEAD_BYTES)
        if head[128:132] == b'DICM':
            return DICOM
        if compressed := head.startswith(b'\x1f\x8b'):
            head = _gunzip_head(head + file.read(64 * 1024))
    name = path.name.lower()
    if _is_nifti(head):
        return NIFTI
    if compressed:
        raise ValueError('is gzip-compressed but not NIfTI: unpack it')
    for start, reason in _OTHER_STARTS:
        if head.startswith(start):
            raise ValueError(reason)
    if starts_like_image(head[:32]):
        return IMAGE
    if head[4:8] == b'ftyp':
        brand = head[8:12]
        box = next((kind for start, kind in _BOXES if brand.startswith(start)), 'a video or image container')
        raise ValueError(f'is {box} ({brand.decode("latin-1").strip()}): save it as PNG')
    if _is_bare_dicom(head) or name.endswith(('.dcm', '.dicom', '.ima')) and head[:2] in (b'\x08\0', b'\0\x08', b'\x02\0'):
        return DICOM
    if int.from_bytes(head[:4], 'little') == ANALYZE_SIZE or int.from_bytes(head[:4], 'big') == ANALYZE_SIZE:
        raise ValueError('is an Analyze header, which has no orientation: save the scan as a single .nii file')
    if name.endswith('.img') and path.with_suffix('.hdr').exists():
        raise ValueError('contains the voxels of a .hdr/.img pair, which is not supported: save it as a single .nii file')
    if not head.strip(b'\0'):
        raise ValueError('starts with zero bytes only: copy or download it again')
    if head.lstrip()[:1] == b'<':
        raise ValueError('looks like a web page or XML, perhaps from a failed download')
    raise ValueError(f'is neither DICOM, NIfTI nor an image: it starts with {head[:12]!r}')


def _is_bare_dicom(head: bytes) -> bool:
    """Return whether a file starts with an entry of group 2 or 8: DICOM without a preamble, which some writers produce."""
    for order in ('little', 'big'):
        group, element = (int.from_bytes(head[at : at + 2], order) for at in (0, 2))
        # The first entry has at most a few hundred bytes; the next belongs to the same group or the patient group.
        if group in (2, 8) and element < 0x1200 and len(head) > 16:
            if head[4:6] in _FIRST_TYPES:
                return True
            if order == 'little' and int.from_bytes(head[4:8], order) <= 512:
                start = 8 + int.from_bytes(head[4:8], order)
                following = int.from_bytes(head[start : start + 2], order)
                return group <= following <= 0x28 or start + 2 > len(head)
    return False


def is_clutter(path: Path) -> bool:
    """Return whether operating systems leave files like this in any folder."""
    if path.name.lower() in _CLUTTER:
        return True
    if not path.name.startswith('._'):  # macOS writes one next to each file on foreign file systems
        return False
    try:
        with open_regular(path) as file:
            return file.read(4) in _APPLE_DOUBLE
    except ValueError as error:
        return 'empty' in str(error)


def _gunzip_head(compressed: bytes) -> bytes:
    """Decompress only the first bytes of a gzip file."""
    try:
        return zlib.decompressobj(wbits=31).decompress(compressed, HEAD_BYTES)
    except zlib.error as error:
        raise ValueError(f'is damaged gzip: {error}') from error


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b'n+1\0', b'ni1\0') or head[4:8] in (b'n+2\0', b'ni2\0')
