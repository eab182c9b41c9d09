"""Parse values of a DICOM header, tolerating decimal commas, text in place of numbers, and missing values."""

import hashlib
import math
import re
from typing import Any

from .opening import printable

_DECIMAL_COMMA = re.compile(r'[-+]?\d*,\d+(?:[eE][-+]?\d+)?|[-+]?\d+,(?:[eE][-+]?\d+)?')


def values_of(data: Any, keyword: str) -> list:
    """Return the values of an entry, as text where pydicom cannot convert them; empty if there are none."""
    try:
        value = data.get(keyword)
    except Exception:  # the value does not match its type, and pydicom raises whatever its converters raise
        value = getattr(data.get_item(keyword), 'value', None)
    if isinstance(value, bytes):
        value = value.decode('latin-1').split('\\')
    values = [] if value is None else [value] if isinstance(value, str) or not hasattr(value, '__iter__') else list(value)
    return [one for one in values if not isinstance(one, str) or one.strip(' \0')]


def shown(data: Any, keyword: str) -> str:
    """Format an entry with its value for messages: "PixelSpacing '0.8'"."""
    return f'{keyword} {printable(chr(92).join(str(value) for value in values_of(data, keyword)))[:48]!r}'


def numbers(data: Any, keyword: str, count: int, notes: list[str]) -> tuple[float, ...] | None:
    """Return the finite numbers of an entry.

    Args:
        data: pydicom's dataset.
        keyword: keyword of the entry.
        count: required number of values.
        notes: receives notes on decimal commas and invalid entries.

    Returns:
        The numbers; None if the entry is absent or empty, or does not consist of ``count`` finite numbers.
    """
    values, found = values_of(data, keyword), []
    if not values:
        return None
    for value in values:
        text = str(value).strip(' \0')
        if _DECIMAL_COMMA.fullmatch(text):
            notes.append(f'{keyword} is written with a decimal comma, read as a decimal point')
            text = text.replace(',', '.')
        try:
            found.append(float(text))
        except ValueError:
            break
    if len(found) == len(values) == count and all(map(math.isfinite, found)):
        return tuple(found)
    notes.append(f'{shown(data, keyword)} is not {"a number" if count == 1 else f"{count} numbers"}: ignored')
    return None


def whole_number(data: Any, keyword: str, absent: int) -> int:
    """Return a whole number that is required to read the pixels.

    Args:
        data: pydicom's dataset.
        keyword: keyword of the entry.
        absent: value for an absent or empty entry.

    Raises:
        ValueError: if the entry is not a whole number, or is negative; the message names it and its value.
    """
    if not values_of(data, keyword):
        return absent
    found = numbers(data, keyword, 1, [])
    if found is None or found[0] != int(found[0]) or found[0] < 0:
        raise ValueError(
            f'has {shown(data, keyword)}, which is not a whole number: correct this entry, or export the slice again'
        )
    return int(found[0])


def digest(data: Any, keyword: str) -> str:
    """Return eight hexadecimal digits that distinguish values without revealing them; empty if there is no value.

    Case and separators are ignored, because they vary between writers.
    """
    text = re.sub(r'[\W_]+', '', ''.join(str(value) for value in values_of(data, keyword)).casefold())
    return hashlib.blake2b(text.encode('utf-8', 'backslashreplace'), digest_size=4).hexdigest() if text else ''
