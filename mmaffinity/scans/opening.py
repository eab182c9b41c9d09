"""Opening files of strangers: regular files only, of bounded size, and what they seem to be."""
import os
import stat
import zlib
from pathlib import Path
from typing import BinaryIO

MAX_FILE_BYTES = 512 * 1024 ** 2  # of an image or a DICOM file; a CT slice has about half a megabyte
HEAD_BYTES = 544  # holds the DICOM mark and the headers of NIfTI-1 and NIfTI-2

DICOM, NIFTI, IMAGE = 'dicom', 'nifti', 'image'
_IMAGE_STARTS = (b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff', b'II*\0', b'MM\0*', b'BM', b'P5', b'P2')
_OTHER_STARTS = (
    (b'PK\x03\x04', 'is a zip archive: unpack it'), (b'PK\x05\x06', 'is an empty zip archive'),
    (b'BZh', 'is bzip2-compressed: unpack it'), (b'\xfd7zXZ', 'is xz-compressed: unpack it'),
    (b'Rar!', 'is a RAR archive: unpack it'), (b"7z\xbc\xaf'\x1c", 'is a 7z archive: unpack it'),
    (b'\x89HDF', 'is HDF5: save it as NIfTI'), (b'NRRD', 'is NRRD: save it as NIfTI'),
    (b'GIF8', 'is GIF: save it as PNG'), (b'%PDF', 'is a PDF: save its pictures as PNG'),
    (b'version https://git-lfs', 'is a Git LFS pointer: fetch the file itself with git lfs pull'),
)


def open_regular(path: Path, max_bytes: int | None = None) -> BinaryIO:
    """Open a file for reading, if it is one: no link, device or pipe, which could lead elsewhere or never end.

    Raises:
        ValueError: if it is none, cannot be opened, is empty, or has more than ``max_bytes``.
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
            raise ValueError(f'has {status.st_size} bytes, more than the {max_bytes} that are read of such a file')
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
    """What tells that a file is still the same: size and time of its last change."""
    status = os.stat(path, follow_symlinks=False)
    return f'{status.st_size}.{status.st_mtime_ns}'


def printable(path: str | os.PathLike) -> str:
    """A path for people, JSON and CSV: what is no Unicode, and line ends, are escaped."""
    text = os.fsencode(path).decode('utf-8', 'backslashreplace')
    return ''.join(char if char.isprintable() else char.encode('unicode_escape').decode() for char in text)


def brief(error: BaseException, length: int = 300) -> str:
    """An error as a reason of bounded length on one line."""
    text = ' '.join(str(error).split())
    # Our own errors are sentences on the file; those of the libraries need their type to be understood.
    text = text if type(error) is ValueError and text else f'{type(error).__name__}: {text}'.rstrip(': ')
    return text if len(text) <= length else text[:length - 1] + '\u2026'


def kind_of(path: Path) -> str:
    """Say what a file is, by its content: 'dicom', 'nifti' or 'image'.

    Raises:
        ValueError: if it is none of them; the message says what it looks like.
    """
    with open_regular(path) as file:
        head = file.read(HEAD_BYTES)
    name = path.name.lower()
    if head[128:132] == b'DICM':
        return DICOM
    if head.startswith(b'\x1f\x8b'):
        head = gunzip_head(head if len(head) < HEAD_BYTES else _read_more(path))
        if not _is_nifti(head):
            raise ValueError('is gzip-compressed and no NIfTI volume: unpack it')
        return NIFTI
    if _is_nifti(head):
        return NIFTI
    if head.startswith(_IMAGE_STARTS) or (head[:4] == b'RIFF' and head[8:12] == b'WEBP'):
        return IMAGE
    for start, reason in _OTHER_STARTS:
        if head.startswith(start):
            raise ValueError(reason)
    if name.endswith(('.dcm', '.dicom', '.ima')) and head[:2] in (b'\x08\0', b'\0\x08', b'\x02\0'):
        return DICOM  # of the time before DICOM had a mark
    if not head.strip(b'\0'):
        raise ValueError('starts with nothing but zero bytes: copy or download it again')
    if head.lstrip()[:1] == b'<':
        raise ValueError('looks like a web page or XML, perhaps from a failed download')
    raise ValueError(f'is neither DICOM, NIfTI nor an image: it starts with {head[:12]!r}')


def gunzip_head(compressed: bytes, length: int = HEAD_BYTES) -> bytes:
    """Unpack the first bytes of a gzip file, and no more."""
    try:
        return zlib.decompressobj(wbits=31).decompress(compressed, length)
    except zlib.error as error:
        raise ValueError(f'is damaged gzip: {error}') from error


def _read_more(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(64 * 1024)


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b'n+1\0', b'ni1\0') or head[4:8] in (b'n+2\0', b'ni2\0')
