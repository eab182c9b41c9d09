"""Read the config that MMEngine stores in a checkpoint, without executing it."""

import ast
from typing import Any

_NUMBERS = {'inf': float('inf'), 'nan': float('nan')}


def read_config_text(text: Any) -> dict[str, Any] | None:
    """Return the fields of a config given as Python source.

    Only assignments of plain values, including ``dict(...)``, are read. Nothing is called or imported, so the text may be
    untrusted.

    Args:
        text: text from ``Config.pretty_text``.

    Returns:
        The fields by name; None if the text contains anything else.
    """
    if not isinstance(text, str):
        return None
    try:
        fields = {}
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
                return None
            fields[statement.targets[0].id] = _value(statement.value)
        return fields
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError('** unpacks a value that is not in the text')
        return {ast.literal_eval(key): _value(value) for key, value in zip(node.keys, node.values) if key is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        if None in [keyword.arg for keyword in node.keywords]:
            raise ValueError('** unpacks a value that is not in the text')
        entries: dict[Any, Any] = {}
        for argument in node.args:
            entries.update(_value(argument))
        return {**entries, **{keyword.arg: _value(keyword.value) for keyword in node.keywords}}
    if isinstance(node, ast.Name) and node.id in _NUMBERS:
        return _NUMBERS[node.id]
    return ast.literal_eval(node)


def config_differences(
    first: Any, second: Any, ignored: frozenset[str] = frozenset(), place: str = ''
) -> list[tuple[str, Any, Any]]:
    """Return the dotted name and both values of the innermost fields in which two configs differ.

    Args:
        first, second: config values. Lists and tuples are equal if their items are; None stands for an absent field.
        ignored: names of fields to ignore at any level.
        place: dotted name of the values.
    """
    parts: list[tuple[str, Any, Any]]
    if isinstance(first, dict) and isinstance(second, dict):
        parts = [(str(name), first.get(name), second.get(name)) for name in {**first, **second} if name not in ignored]
    elif isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) == len(second):
        parts = [(str(index), one, other) for index, (one, other) in enumerate(zip(first, second))]
    else:
        return [] if first == second else [(place, first, second)]
    return [
        difference
        for name, one, other in parts
        for difference in config_differences(one, other, ignored, f'{place}.{name}' if place else name)
    ]
