"""Read DICOM files with pydicom, within limits on size and number of entries."""

import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mmaffinity.utils.optional import require, without_warnings

from .opening import MAX_FILE_BYTES, brief, open_regular, printable

MAX_HEADER_BYTES = 64 * 1024**2  # before the pixels; 2000 frames need about 2 MB


def read_dataset(path: Path) -> Any:
    """Read a DICOM file with pydicom, within size limits.

    Returns:
        pydicom's dataset.

    Raises:
        ValueError: if pydicom is missing, or the file is not a complete DICOM file or expands to more than a slice can have.
    """
    with open_regular(path, MAX_FILE_BYTES) as file:
        return _parse(file, 2 * MAX_FILE_BYTES, False, None)


def read_until_pixels(path: Path, tags: Sequence[str] | None = None) -> tuple[Any, int]:
    """Read the header, up to the pixel data, of a DICOM file of any size.

    Args:
        path: the file.
        tags: keywords to keep; None keeps all.

    Returns:
        pydicom's dataset, and the start of its pixel data, which is meaningless if the file is deflated.

    Raises:
        ValueError: as for :func:`read_dataset`, or if the header is longer than 64 MiB.
    """
    with open_regular(path) as file:
        return _parse(file, MAX_HEADER_BYTES, True, tags), file.tell()


def transfer_syntax(data: Any) -> Any:
    """Return the transfer syntax of a dataset; if it names none, that which pydicom detected, which is then added to it.

    Raises:
        ValueError: if it is not a standard one.
    """
    uid = require('pydicom.uid', 'medical')
    syntax = getattr(getattr(data, 'file_meta', None), 'TransferSyntaxUID', None)
    if not syntax:
        implicit, little = data.original_encoding
        explicit = uid.ExplicitVRBigEndian if little is False else uid.ExplicitVRLittleEndian
        syntax = uid.ImplicitVRLittleEndian if implicit else explicit
        data.file_meta = require('pydicom.dataset', 'medical').FileMetaDataset()
        data.file_meta.TransferSyntaxUID = syntax
    if not syntax.is_transfer_syntax:
        raise ValueError(
            f'has the non-standard transfer syntax {printable(str(syntax))[:64]}, perhaps a private one: export the '
            'series again, as Explicit VR Little Endian'
        )
    return syntax


@without_warnings()  # on odd header values; relevant ones are checked
def _parse(file: BinaryIO, most: int, header_only: bool, tags: Sequence[str] | None) -> Any:
    pydicom = require('pydicom', 'medical')
    guard = _ReadGuard(file, most, header_only)
    try:
        return pydicom.dcmread(guard, force=True, stop_before_pixels=header_only, specific_tags=tags and list(tags))
    except (MemoryError, Exception) as error:
        # pydicom continues after a premature end of a named file. Here it fails instead, because the file has a number.
        if not guard.refusal and isinstance(error.__context__, EOFError):
            raise ValueError('is a truncated DICOM file: copy or export it again') from error
        # pydicom replaces the guard's errors with its own.
        raise ValueError(guard.refusal or f'is a damaged DICOM file: {brief(error)}') from error


class _ReadGuard:
    """A file wrapper that limits how much is read, and rejects a deflated rest that expands too far.

    Only pydicom's own parsing determines which part of a deflated file is compressed; another parser could be tricked into a
    different result. pydicom decompresses exactly what it reads without a given size.

    Args:
        file: open for reading.
        most: total number of bytes that may be read.
        header_only: also limit the number of reads: pydicom reads each header entry separately and creates objects that need
            far more memory.
    """

    def __init__(self, file: BinaryIO, most: int, header_only: bool) -> None:
        self._file, self._most, self._left = file, most, most
        self.refusal = ''
        self._reads = 100_000 + os.fstat(file.fileno()).st_size // 64 if header_only else math.inf
        self.name, self.seek, self.tell = file.name, file.seek, file.tell

    def read(self, size: int | None = None) -> bytes:
        """Read like a file; raise ValueError beyond the limits."""
        if size is not None and size >= 0:
            content = self._file.read(min(size, self._left + 1))
            self._left -= len(content)
            self._reads -= 1
            if self._left < 0:
                self.refusal = f'has a header above the limit of {self._most} bytes'
            elif self._reads < 0:
                self.refusal = 'has too many header entries for a CT file of its size'
            if self.refusal:
                raise ValueError(self.refusal)
            return content
        rest = self._file.read(MAX_FILE_BYTES + 1)
        if len(rest) > MAX_FILE_BYTES:
            raise ValueError(f'is deflated and has more than {MAX_FILE_BYTES} bytes')
        unpack, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        for start in range(0, len(rest), 1 << 16):
            packed = rest[start : start + (1 << 16)]
            while packed and not unpack.eof:
                total += len(unpack.decompress(packed, 1 << 20))
                packed = unpack.unconsumed_tail
                if total > MAX_FILE_BYTES:
                    raise ValueError(f'expands to more than {MAX_FILE_BYTES} bytes')
        return rest
