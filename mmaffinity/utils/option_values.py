"""Parse and format values of ``--cfg-options``: numbers, text, lists and tuples."""

from typing import Any

_QUOTES = ('"', "'")


def parse_value(text: str) -> Any:
    """Parse a value.

    The syntax is that of MMEngine's ``DictAction``: ``3``, ``0.1``, ``true``, ``None``, ``text``, ``[a, b]`` or ``a,b`` (a
    list), ``(a, b)`` (a tuple), with any nesting. Unlike there, spaces within text are kept, because paths contain them, and
    anything in quotes is text: ``'a,b'``, ``'1'``.

    Raises:
        ValueError: if brackets or quotes do not match.
    """
    text = text.strip()
    if len(text) > 1 and text[0] in _QUOTES and text.find(text[0], 1) == len(text) - 1:
        return text[1:-1]
    if ',' in text:
        items = _split(text)
        if len(items) > 1:
            return [parse_value(item) for item in (items if items[-1].strip() else items[:-1])]
    if len(text) > 1 and text[0] + text[-1] in ('[]', '()'):
        items = _split(text[1:-1])
        values = [parse_value(item) for item in (items if items[-1].strip() else items[:-1])]
        return values if text[0] == '[' else tuple(values)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {'true': True, 'false': False}.get(text.lower(), None if text == 'None' else text)


def option_text(value: Any) -> str:
    """Format a value so that :func:`parse_value` returns it.

    Args:
        value: None, a number, a string, or a list or tuple of these.

    Raises:
        ValueError: if that is impossible, as for a string that needs quotes and contains both kinds.
    """
    if isinstance(value, (list, tuple)):
        left, right = '()' if isinstance(value, tuple) else '[]'
        return f'{left}{",".join(map(option_text, value))}{right}'
    if not isinstance(value, str):
        return str(value)
    for text in (value, *(f'{quote}{value}{quote}' for quote in _QUOTES)):
        try:
            if parse_value(text) == value and parse_value(f'[{text}]') == [value]:
                return text
        except ValueError:
            continue
    raise ValueError(f'{value!r} cannot be written as KEY=VALUE: it needs quotes but contains both kinds')


def _split(text: str) -> list[str]:
    """Split text at commas outside brackets and quotes."""
    items, start, depth, quote = [], 0, 0, ''
    for at, char in enumerate(text):
        if quote:
            quote = '' if char == quote else quote
        elif char in _QUOTES and text[:at].rstrip()[-1:] in ('', ',', '[', '('):  # an apostrophe within text is not a quote
            quote = char
        elif char == ',' and depth == 0:
            items.append(text[start:at])
            start = at + 1
        else:
            depth += (char in '[(') - (char in ')]')
        if depth < 0:
            break
    if depth or quote:
        raise ValueError(f'{text!r} has unbalanced brackets or quotes')
    return [*items, text[start:]]
