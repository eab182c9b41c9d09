"""Formatting of counts and lists in messages."""

import ast

import pytest

from mmaffinity.utils.wording import first_and_rest, first_few, plural


@pytest.mark.parametrize(
    'arguments, text',
    [
        ((0, 'slice'), '0 slices'),
        ((1, 'slice'), '1 slice'),
        ((2, 'slice', 'is'), '2 slices are'),
        ((1, 'patient', 'has'), '1 patient has'),
        ((2, 'slice class'), '2 slice classes'),
        ((1, 'slice', 'is'), '1 slice is'),
        ((3, 'copy', 'has'), '3 copies have'),
        ((2, 'entry'), '2 entries'),
        ((2, 'array'), '2 arrays'),
        ((3, 'box'), '3 boxes'),
        ((2, 'file', 'was'), '2 files were'),
        ((2, 'row', 'does'), '2 rows do'),
    ],
)
def test_plural(arguments, text):
    assert plural(*arguments) == text


def test_first_few():
    assert first_few(['a']) == 'a' and first_few(list('abcd')) == 'a, b, c, ...'
    assert first_and_rest(list('abc')) == 'a, b, c' and first_and_rest(list('abcde'), 2) == 'a, b and 3 more'


NOUNS = ('slices', 'files', 'patients', 'scans', 'masks', 'lesions', 'images')


def test_messages_use_plural_for_counts(repo_root):
    """'{len(paths)} slices' would say '1 slices': counts of these nouns are worded by plural().

    In ``scans``, and where RoIs are shared among slices, there are always several.
    """
    found = []
    for path in sorted((repo_root / 'mmaffinity').rglob('*.py')):
        if 'scans' in path.parts or path.name == 'slice_batch_norm.py':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                for value, text in zip(node.values, node.values[1:]):
                    if (
                        isinstance(value, ast.FormattedValue)
                        and isinstance(text, ast.Constant)
                        and ast.unparse(value.value).startswith(('len(', 'sum(', 'num_', 'self.num'))
                        and text.value.startswith(tuple(f' {noun}' for noun in NOUNS))
                    ):
                        found.append(f'{path}:{node.lineno}: {ast.unparse(value.value)}{text.value[:30]}')
    assert found == []
