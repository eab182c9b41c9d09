"""Locate and read the frames of a multi-frame DICOM file."""

import os
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mmaffinity.utils.optional import require

from .compressed_pixels import check_length
from .dicom_reading import transfer_syntax
from .opening import open_regular

MAX_FRAMES = 1 << 16  # per file; a chest in twenty phases has about 10 000
MAX_FRAGMENTS = 1 << 18  # per file; a compressed frame is usually one fragment
_STREAM_STARTS = (b'\xff\xd8\xff', b'\xff\x4f\xff\x51', b'\0\0\0\x0cjP  ')  # of JPEG and JPEG-LS, JPEG 2000, JP2
_ITEM, _PIXEL_DATA = (0xFFFE, 0xE000), (0x7FE0, 0x0010)


@dataclass(frozen=True, slots=True)
class FrameFile:
    """A multi-frame file: its pixel encoding and the location of each frame, shared by all its frames.

    Attributes:
        path: the file.
        stamp: its size in bytes and modification time in ns when the offsets were found.
        syntax: UID of the transfer syntax.
        starts, lengths: byte offset and length of each piece of pixel data: frames, or fragments if compressed.
        pieces: for each frame, the number of its first piece and of the one after its last; (0, 0) if its pixels cannot be
            found.
        missing: why pixels cannot be found.
        shared: header entries common to all frames.
    """

    path: Path
    stamp: tuple[int, int]
    syntax: str
    starts: array
    lengths: array
    pieces: array
    missing: str
    shared: tuple[tuple[str, Any], ...]

    def holds(self, index: int) -> bool:
        """Return whether the pixels of frame ``index`` (from 0) can be found."""
        return 2 * index < len(self.pieces) and self.pieces[2 * index] < self.pieces[2 * index + 1]

    def read(self, index: int, values: Sequence[tuple[str, Any]]) -> Any:
        """Read frame ``index`` (from 0) as the dataset of a file with only this frame.

        Args:
            index: index of a frame in the file.
            values: header entries of the frame by keyword.

        Raises:
            ValueError: if the file has changed, or the frame is longer than any encoder's output.
        """
        first, end = self.pieces[2 * index : 2 * index + 2]
        dataset = require('pydicom.dataset', 'medical')
        data = dataset.Dataset()
        data.file_meta = dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = require('pydicom.uid', 'medical').UID(self.syntax)
        for keyword, value in (*self.shared, *values):
            try:
                setattr(data, keyword, list(value) if isinstance(value, tuple) else value)
            except (TypeError, ValueError, OverflowError):
                data.add_new(keyword, 'LO', str(value))  # of the wrong type; the code that uses it reports this
        check_length(sum(self.lengths[first:end]), (data.Rows, data.Columns), int(data.BitsAllocated))
        with open_regular(self.path) as file:
            if stamp_of(file) != self.stamp:
                raise ValueError('has changed since its header was read: predict it again')
            content = bytearray()
            for piece in range(first, end):
                file.seek(self.starts[piece])
                content += file.read(self.lengths[piece])
        raw = bytes(content)
        if data.file_meta.TransferSyntaxUID.is_encapsulated:
            data.PixelData = require('pydicom.encaps', 'medical').encapsulate([raw], has_bot=False)
            data['PixelData'].is_undefined_length = True
        else:
            data.PixelData = raw
            data['PixelData'].VR = 'OW' if int(data.BitsAllocated) > 8 else 'OB'
        return data


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a multi-frame file.

    Attributes:
        file: its file.
        index: index in the file, from 0.
        values: header entries that convert its stored values to Hounsfield units.
        traits: names and values that distinguish the stacks, phases and reconstructions of a file.
        unit: UID of the file or of its concatenation; '' if the frame is the only one in its file.
        part: number of the file in its concatenation, and the number of files; 0 if unknown.
    """

    file: FrameFile
    index: int
    values: tuple[tuple[str, Any], ...]
    traits: tuple[tuple[str, str], ...]
    unit: str
    part: tuple[int, int]

    @property
    def number(self) -> int:
        """The frame number as DICOM counts it, from 1."""
        return self.index + 1

    def read(self) -> Any:
        """Read the frame; see :meth:`FrameFile.read`."""
        return self.file.read(self.index, self.values)


def stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Return the size in bytes and modification time in ns of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def locate_frames(data: Any, path: Path, end: int, counts: Sequence[int], shared: tuple[tuple[str, Any], ...]) -> FrameFile:
    """Locate the frames in a file, at a cost independent of what its tables claim.

    An offset from the file is used only if a fragment starts there.

    Args:
        data: header, which ends before the pixel data.
        path: the file.
        end: byte offset of the pixel data element.
        counts: number of frames by the frame headers, then by NumberOfFrames.
        shared: as in :class:`FrameFile`.

    Raises:
        ValueError: if there is no pixel data, or it is deflated or not divided into frames.
    """
    syntax = transfer_syntax(data)
    implicit, little = data.original_encoding
    if syntax.is_deflated:
        raise ValueError(
            'is deflated, so its frames cannot be read individually: convert it to Explicit VR '
            'Little Endian, for example with dcmconv +te'
        )
    with open_regular(path) as file:
        stamp = stamp_of(file)
        file.seek(end)
        head = file.read(12)
        order = '<' if little else '>'
        length_at = 4 if implicit else 8
        if len(head) < length_at + 4 or struct.unpack_from(f'{order}2H', head) != _PIXEL_DATA:
            raise ValueError('has no pixel data')
        length, start = struct.unpack_from(f'{order}I', head, length_at)[0], end + length_at + 4
        entries = dict(shared)
        if not syntax.is_encapsulated:
            size = entries['Rows'] * entries['Columns'] * int(entries.get('BitsAllocated') or 0) // 8
            if not size:
                raise ValueError(f'has BitsAllocated {entries.get("BitsAllocated")}, so its pixels cannot be decoded')
            there = max(0, stamp[0] - start)
            whole = min(there, length) // size
            used = min(whole, max(counts))
            missing = f'{min(there, length)} of {length} bytes are present, {whole} complete frames of {size} bytes'
            return FrameFile(
                path,
                stamp,
                str(syntax),
                array('q', (start + at * size for at in range(used))),
                array('q', [size]) * used,
                array('q', (at for one in range(used) for at in (one, one + 1))),
                missing,
                shared,
            )
        if length != 0xFFFFFFFF:
            raise ValueError(f'is compressed ({syntax.name}), but its pixel data is not in fragments')
        limit = min(4096 * max(counts), MAX_FRAGMENTS)
        starts, lengths, heads, table, stop = _fragments(file, start, stamp[0], limit)
    complete = stop is None
    extended = bytes(data.get('ExtendedOffsetTable') or b'')
    table = [*struct.unpack(f'<{len(extended) // 8}Q', extended[: len(extended) // 8 * 8])] or table
    places = {at - starts[0]: number for number, at in enumerate(starts)}  # offsets are relative to the first fragment
    if starts and stop is not None:
        places[stop + 8 - starts[0]] = len(starts)
    found = _assign([places.get(entry) for entry in table], heads, counts, complete)
    found = [(first, last) if any(lengths[first:last]) else (0, 0) for first, last in found]
    held = sum(first < last for first, last in found)
    missing = f'{held} of {counts[0]} frames were found in {len(starts)} fragments' + (
        '' if complete else ', and the file ends within the pixel data'
    )
    return FrameFile(
        path, stamp, str(syntax), starts, lengths, array('q', (at for pair in found for at in pair)), missing, shared
    )


def _fragments(file: BinaryIO, start: int, size: int, limit: int) -> tuple[array, array, list[bool], list[int], int | None]:
    """Scan the fragments of encapsulated pixel data (DICOM PS3.5, annex A.4).

    Returns:
        Offsets of the fragments' contents, their lengths, whether each starts a code stream, the basic offset table, and the
        start of the truncated fragment, or None if all fragments up to the delimiter are present.

    Raises:
        ValueError: if there are more than ``limit`` fragments.
    """
    starts, lengths = array('q'), array('q')
    heads: list[bool] = []
    table: list[int] = []
    position = start
    while True:
        file.seek(position)
        head = file.read(20)
        if len(head) < 8:
            return starts, lengths, heads, table, position
        tag, length = struct.unpack_from('<2H', head), struct.unpack_from('<I', head, 4)[0]
        if tag != _ITEM:
            return starts, lengths, heads, table, None if tag == (0xFFFE, 0xE0DD) else position
        if position + 8 + length > size:
            return starts, lengths, heads, table, position
        if position == start:
            file.seek(position + 8)
            content = file.read(min(length, 4 * MAX_FRAMES) // 4 * 4)
            table = list(struct.unpack(f'<{len(content) // 4}I', content))
        else:
            starts.append(position + 8)
            lengths.append(length)
            heads.append(head[8:].startswith(_STREAM_STARTS))
            if len(starts) > limit:
                raise ValueError(f'has compressed pixel data in more than {limit} fragments')
        position += 8 + length


def _assign(
    begins: Sequence[int | None], heads: Sequence[bool], counts: Sequence[int], complete: bool
) -> list[tuple[int, int]]:
    """Assign fragments to frames: by the offset table, else one per frame, else by the starts of code streams.

    Args:
        begins: number of the first fragment of each frame by the offset table; None if no fragment starts there.
        heads: for each fragment, whether it starts a code stream.
        counts: as in :func:`locate_frames`.
        complete: whether all fragments are present.

    Returns:
        Numbers of the first fragment and of the one after the last for each frame; (0, 0) if unknown.
    """
    number = len(heads)
    streams = [at for at, head in enumerate(heads) if head]
    exact = [at for at in begins if at is not None]
    for count in dict.fromkeys(counts):
        # If the end is missing, only an offset table gives the number of frames.
        for firsts in ((exact,) if len(exact) == len(begins) else ()) + ((range(number), streams) if complete else ()):
            if count == len(firsts) and firsts[0] == 0 and all(one < two for one, two in zip(firsts, firsts[1:])):
                pairs = list(zip(firsts, [*firsts[1:], number]))
                if not any(any(heads[one + 1 : two]) for one, two in pairs):
                    return pairs if complete or number == count else [*pairs[:-1], (0, 0)]
    if len(begins) in counts:
        return [
            (one, two) if one is not None and two is not None and one < two and not any(heads[one + 1 : two]) else (0, 0)
            for one, two in zip(begins, [*begins[1:], number if complete else None])
        ]
    if complete:
        return []  # it is unknown which frame is missing
    firsts = streams if streams[:1] == [0] else range(number)
    pairs = list(zip(firsts, [*firsts[1:], number]))
    return pairs if len(firsts) == number else pairs[:-1]  # it is unknown whether the last frame has several fragments
