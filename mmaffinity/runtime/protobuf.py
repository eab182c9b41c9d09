"""Read protocol buffers field by field, without a schema, copies or code execution.

The onnx package does this too, but would add 20 MB to a runtime installation and a quarter to its start-up time.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and value of each field: an integer, or the bytes of a string, message or packed list.

    Raises:
        ValueError: if the message is damaged.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == BYTES:
            length, position = _varint(message, position)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f'is damaged: unknown field type at byte {position}')
        if length > len(message) - position:
            raise ValueError('is damaged or truncated: a field is longer than the file')
        yield key >> 3, message[position : position + length]
        position += length


def integers(value: int | memoryview) -> list[int]:
    """Return the elements of a repeated integer field, packed or not."""
    if isinstance(value, int):
        return [value]
    found, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        found.append(number)
    return found


def text(value: int | memoryview) -> str:
    """Return a string field.

    Raises:
        ValueError: if it is not UTF-8 text.
    """
    if isinstance(value, int):
        raise ValueError('is damaged: a number in place of text')
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f'is damaged: text that is not UTF-8 ({error.reason})') from error


def message(value: int | memoryview) -> memoryview:
    """Return an embedded message.

    Raises:
        ValueError: if the field is a number.
    """
    if isinstance(value, int):
        raise ValueError('is damaged: a number in place of a message')
    return value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
    raise ValueError('is damaged or truncated: a number does not end')
