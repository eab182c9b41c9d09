import pytest

from mmaffinity.evaluation.functional import format_table


def test_columns_line_up():
    assert format_table(['name', 'n'], [['a', '1000'], ['longer', '2']]).splitlines() == [
        'name       n',
        '------  ----',
        'a       1000',
        'longer     2',
    ]


def test_rows_must_fit():
    with pytest.raises(ValueError, match='2 columns'):
        format_table(['a', 'b'], [['1']])
