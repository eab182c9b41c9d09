import pytest

from mmaffinity.utils.tables import format_table, markdown_table


def test_columns_line_up():
    assert format_table(['name', 'n'], [['a', '1000'], ['longer', '2']]).splitlines() == [
        'name       n',
        '------  ----',
        'a       1000',
        'longer     2',
    ]


def test_rows_must_fit():
    with pytest.raises(ValueError, match='shorter'):
        format_table(['a', 'b'], [['1']])


def test_markdown_cells_hold_anything():
    rows = [['a|b', 3], ['two\nlines', 4]]
    assert markdown_table(['', 'x'], rows, 'lr').split('\n') == ['|  | x |', '|---|---:|', '| a\\|b | 3 |', '| two lines | 4 |']
