"""Validate a DICOM slice's compressed pixels before a decoder allocates what they claim or fills in what they lack."""

import struct
from typing import Any

from mmaffinity.utils.optional import require

MAX_FRAGMENTS = 4096  # of a slice's compressed pixels; most writers use one
_JPEG_FRAMES = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}  # F7: JPEG-LS


def check_compressed(data: Any, shape: tuple[int, int], bits: int, run_lengths: bool) -> None:
    """Validate a dataset's compressed pixels, and drop its frame offset tables, which could point elsewhere.

    Args:
        data: pydicom's dataset with encapsulated pixel data.
        shape: rows and columns by the header.
        bits: bits per pixel by the header.
        run_lengths: whether the compression is RLE.

    Raises:
        ValueError: if they are truncated, of the wrong size, longer than any encoder's output, or of several frames.
    """
    check_length(len(data.PixelData), shape, bits)
    _check_fragments(data.PixelData)
    frame = _only_frame(data)
    if run_lengths:
        _check_run_lengths(frame, shape, bits)
    claimed = codestream_size(frame)
    if claimed is not None and claimed != shape:
        raise ValueError(f'pixel data of {claimed[0]} x {claimed[1]} pixels, but the header says {shape[0]} x {shape[1]}')
    # JPEG-LS decoders silently fill missing data with zeros.
    if frame[:2] in (b'\xff\xd8', b'\xff\x4f') and b'\xff\xd9' not in frame.rstrip(b'\0')[-16:]:
        raise ValueError('pixel data is truncated: its code stream has no end marker')


def _only_frame(data: Any) -> bytes:
    """Return the only compressed frame of a dataset.

    Raises:
        ValueError: if there are several; pydicom would decode all of them, whatever number the header gives.
    """
    # Offsets in the header could make pydicom decode another frame than the one checked here.
    for keyword in ('ExtendedOffsetTable', 'ExtendedOffsetTableLengths'):
        if keyword in data:
            delattr(data, keyword)
    frames = require('pydicom.encaps', 'medical').generate_frames(data.PixelData, number_of_frames=1)
    frame = next(frames)
    if next(frames, None) is not None:
        raise ValueError('pixel data has more than one frame, but the header says 1')
    return frame


def check_length(length: int, shape: tuple[int, int], bits: int) -> None:
    """Reject compressed pixel data of a slice that is longer than any encoder's output, in bytes."""
    longest = 2 * shape[0] * shape[1] * max(1, bits // 8) + (1 << 20)
    if length > longest:
        raise ValueError(f'compressed pixel data has {length} bytes, but {shape[0]} x {shape[1]} pixels need at most {longest}')


def _check_fragments(raw: bytes) -> None:
    """Reject more fragments than any encoder would write, before pydicom parses them.

    pydicom creates an object per fragment, and an empty fragment takes only 8 bytes (DICOM PS3.5, annex A.4).
    """
    position = number = 0
    while position + 8 <= len(raw):
        position += 8 + struct.unpack_from('<I', raw, position + 4)[0]
        number += 1
        if number > MAX_FRAGMENTS:
            raise ValueError(f'compressed pixel data has more than {MAX_FRAGMENTS} fragments')


def _check_run_lengths(frame: bytes, shape: tuple[int, int], bits: int) -> None:
    """Reject an RLE frame that expands beyond the size in the header, at a cost bounded by the slice's size.

    RLE data has no size field; decoders expand each segment to its end, whatever the header says (DICOM PS3.5, annex G).
    """
    if len(frame) < 64:
        raise ValueError(f'pixel data has {len(frame)} bytes, fewer than the 64 of an RLE header')
    number, *starts = struct.unpack_from('<16I', frame)
    expected = max(1, bits // 8)
    if number != expected:
        raise ValueError(f'pixel data has {number} RLE segments, but {bits} bits per pixel need {expected}')
    ends = [*starts[1:number], len(frame)]
    # Ordered and disjoint, so that no byte is visited twice.
    if starts[0] < 64 or any(start > end for start, end in zip(starts[:number], ends)):
        raise ValueError('pixel data has RLE segments that overlap or extend beyond it')
    pixels = shape[0] * shape[1]
    most = 2 * pixels + 256  # twice the size allows for padding
    for start, end in zip(starts[:number], ends):
        unpacked = 0
        while start < end:
            control = frame[start]
            # A control byte of 128 produces no output, but must count: a segment of nothing else would be scanned to its end.
            unpacked += control + 1 if control < 128 else 257 - control
            start += control + 2 if control < 128 else 2 if control > 128 else 1
            if unpacked > most:
                raise ValueError(f'an RLE segment expands to more than the {pixels} bytes of {shape[0]} x {shape[1]} pixels')


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Return the rows and columns that a JPEG, JPEG-LS or JPEG 2000 code stream claims; None for other data.

    Decoders allocate what the code stream claims, whatever the DICOM header says.
    """
    if frame[:4] == b'\xff\x4f\xff\x51' and len(frame) >= 24:
        width, height, left, top = struct.unpack_from('>4I', frame, 8)
        return height - top, width - left
    if frame[:8] == b'\0\0\0\x0cjP  ':
        start = frame.find(b'\xff\x4f\xff\x51')
        return codestream_size(frame[start : start + 64]) if start > 0 else None
    if frame[:2] != b'\xff\xd8':
        return None
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _JPEG_FRAMES:
            return struct.unpack_from('>HH', frame, position + 5)
        position += 2 + struct.unpack_from('>H', frame, position + 2)[0]
    return None
