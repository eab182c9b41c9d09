"""Values of ``--cfg-options`` as text: numbers, text, lists and tuples."""

from typing import Any

_QUOTES = ('"', "'")


def parse_value(text: str) -> Any:
    """Return the value that a text stands for.

    The syntax is that of MMEngine's ``DictAction``: ``3``, ``0.1``, ``true``, ``None``, ``text``, ``[a, b]`` or ``a,b`` (a
    list), ``(a, b)`` (a tuple), nested at will. Unlike there, spaces within a text are kept, because paths contain them, and
    quotes make a text of whatever they enclose: ``'a,b'``, ``'1'``.

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
    """Return a text from which :func:`parse_value` makes the value.

    Args:
        value: None, a number, a text, or a list or tuple of these.

    Raises:
        ValueError: if there is none, as for a text that needs quotes and contains both kinds.
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
    raise ValueError(f'{value!r} cannot be given as KEY=VALUE: it needs quotes, and contains both kinds')


def _split(text: str) -> list[str]:
    """Split a text at its commas, except those in brackets or quotes."""
    items, start, depth, quote = [], 0, 0, ''
    for at, char in enumerate(text):
        if quote:
            quote = '' if char == quote else quote
        elif char in _QUOTES and text[:at].rstrip()[-1:] in ('', ',', '[', '('):  # an apostrophe within a text is none
            quote = char
        elif char == ',' and depth == 0:
            items.append(text[start:at])
            start = at + 1
        else:
            depth += (char in '[(') - (char in ')]')
        if depth < 0:
            break
    if depth or quote:
        raise ValueError(f'{text!r} has brackets or quotes that do not match')
    return [*items, text[start:]]
