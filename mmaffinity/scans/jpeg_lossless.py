"""JPEG Lossless (ITU-T T.81, process 14), the compression that many CT scanners write.

Of the libraries that read it, pylibjpeg-libjpeg is under the GPL, and GDCM ends the whole process at some damaged files.
This reader is slower than they are, but whatever it is given, it returns pixels or raises ValueError.
"""
import re
import struct
from collections.abc import Iterator

import numpy as np

_LOSSLESS, _TABLES, _RESTART, _SCAN = 0xC3, 0xC4, 0xDD, 0xDA


def decode_jpeg_lossless(frame: bytes, shape: tuple[int, int], signed: bool = False) -> np.ndarray:
    """Decode a code stream of one grey component.

    Args:
        frame: from its first marker on.
        shape: (rows, columns) that it must have.
        signed: whether the highest of the bits that the code stream says it has is a sign.

    Returns:
        Values as stored, int64 of that shape.

    Raises:
        ValueError: if it is truncated, damaged, of another shape, or of another process than 14.
    """
    tables: dict[int, list[int]] = {}
    bits = interval = 0
    for marker, content, end in _segments(frame):
        if marker == _LOSSLESS:
            bits, height, width, components = _unpack('>BHHB', content)
            if (height, width) != shape or components != 1 or not 2 <= bits <= 16:
                raise ValueError(f'JPEG Lossless of {height} x {width} pixels, {components} components and {bits} bits')
        elif marker == _TABLES:
            tables.update(_read_tables(content))
        elif marker == _RESTART:
            interval, = _unpack('>H', content)
        elif marker == _SCAN:
            _, _, selector, predictor, _, point = _unpack('>6B', content)
            table, point = tables.get(selector >> 4), point & 15
            if not bits or table is None or not 1 <= predictor <= 7 or point >= bits or interval % shape[1]:
                raise ValueError('JPEG Lossless without a frame, a table or a predictor for its scan')
            values = _read_scan(frame[end:], shape, table, predictor, bits - point, interval // shape[1]) << point
            return np.where(values >> (bits - 1), values - (1 << bits), values) if signed else values
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC8, 0xCC):
            raise ValueError(f'JPEG of another process than lossless (marker {marker:#x})')
    raise ValueError('JPEG Lossless that ends before its pixels')


def _unpack(form: str, content: bytes) -> tuple:
    if len(content) < struct.calcsize(form):
        raise ValueError('JPEG Lossless with a head that is cut off')
    return struct.unpack_from(form, content)


def _segments(frame: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield (marker, content, where it ends) of a code stream's head."""
    if frame[:2] != b'\xff\xd8':
        raise ValueError('no JPEG: its first marker is missing')
    position = 2
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            raise ValueError('JPEG Lossless with something else where a marker should be')
        if frame[position + 1] == 0xFF:  # markers may be filled up to any length
            position += 1
            continue
        length, = struct.unpack_from('>H', frame, position + 2)
        end = position + 2 + max(2, length)
        yield frame[position + 1], frame[position + 4:end], end
        position = end


def _read_tables(content: bytes) -> Iterator[tuple[int, list[int]]]:
    """Huffman tables (annex C): for any 16 bits that follow, the category of the difference times 32 plus its code's length.

    0 stands for bits that are no code.
    """
    while content:
        number, counts = _unpack('>B16s', content)
        categories = content[17:17 + sum(counts)]
        content = content[17 + sum(counts):]
        table, code = [0] * 65536, 0
        places = [length for length, count in enumerate(counts, 1) for _ in range(count)]
        if len(categories) < len(places) or any(category > 16 for category in categories):
            raise ValueError('JPEG Lossless with a damaged Huffman table')
        for length, category in zip(places, categories):
            size = 1 << (16 - length)
            if code + size > 65536:
                raise ValueError('JPEG Lossless with a damaged Huffman table')
            table[code:code + size] = [category * 32 + length] * size
            code += size
        yield number & 15, table


def _read_scan(content: bytes, shape: tuple[int, int], table: list[int], predictor: int, bits: int,
               interval: int) -> np.ndarray:
    """Read the differences of a scan, and add up what they differ from (annex H). ``interval`` is in rows, or 0."""
    rows, columns = shape
    interval = interval or rows
    # A marker other than restart ends the scan; FF that is no marker is followed by 0.
    ended = re.search(b'\xff[^\0\xd0-\xd7\xff]', content)
    parts = re.split(b'\xff[\xd0-\xd7]', content[:ended.start()] if ended else content)
    pixels = np.empty(shape, np.int64)
    if len(parts) < -(-rows // interval):
        raise ValueError('JPEG Lossless that is truncated')
    for start, part in zip(range(0, rows, interval), parts):
        height = min(interval, rows - start)
        changes = _read_changes(part.replace(b'\xff\0', b'\xff'), height * columns, table).reshape(height, columns)
        pixels[start:start + height] = _add_up(changes, predictor, 1 << (bits - 1))
    return pixels & ((1 << bits) - 1)


def _read_changes(content: bytes, number: int, table: list[int]) -> np.ndarray:
    """Differences of ``number`` pixels to their predictions."""
    words = iter(np.frombuffer(content + bytes(12 - len(content) % 4), '>u4').tolist())
    changes = [0] * number
    taken = have = store = 0  # words read; bits that are left of them, and these
    try:
        for at in range(number):
            if have < 32:
                store = (store & ((1 << have) - 1)) << 32 | next(words)
                have += 32
                taken += 32
            entry = table[store >> (have - 16) & 0xFFFF]
            size = entry >> 5
            have -= entry & 31
            if not 0 < size < 16:
                if not entry:
                    raise ValueError('JPEG Lossless with bits that are no code')
                changes[at] = size and 32768
                continue
            have -= size
            value = store >> have & ((1 << size) - 1)
            changes[at] = value if value >> (size - 1) else value - (1 << size) + 1
    except StopIteration:
        taken, have = 8 * len(content) + 1, 0
    if taken - have > 8 * len(content):
        raise ValueError('JPEG Lossless that is truncated')
    return np.asarray(changes, np.int64)


def _add_up(changes: np.ndarray, predictor: int, first: int) -> np.ndarray:
    """Pixels from their differences to a prediction from those to the left (a), above (b), and left of that (c).

    The first row is predicted from the left, the first column from above. All is modulo 2**16, which the caller's mask does,
    except in the predictors that halve.
    """
    pixels = changes.copy()
    pixels[0, 0] += first
    pixels[0] = pixels[0].cumsum()
    if predictor == 1:
        pixels[:, 0] = pixels[:, 0].cumsum()
        return np.concatenate([pixels[:1], pixels[1:].cumsum(axis=1)])
    if predictor == 2:
        return pixels.cumsum(axis=0)
    pixels &= 0xFFFF
    above = pixels[0].tolist()
    for row in range(1, len(pixels)):
        line = changes[row].tolist()
        left = line[0] = (line[0] + above[0]) & 0xFFFF
        for at in range(1, len(line)):
            b, c = above[at], above[at - 1]
            guess = (c if predictor == 3 else left + b - c if predictor == 4 else left + (b - c >> 1) if predictor == 5
                     else b + (left - c >> 1) if predictor == 6 else left + b >> 1)
            left = line[at] = (line[at] + guess) & 0xFFFF
        pixels[row], above = line, line
    return pixels
