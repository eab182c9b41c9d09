"""Cells, bold and footnotes."""

from mmaffinity.evaluation.functional.bootstrap import Estimate
from mmaffinity.evaluation.report.tables import Column, Row, Table


def test_markdown():
    table = Table('t', 'Title', 'Caption.', [Column('f1', 'F1 %'), Column('mcc', 'MCC', False, best='low')], 't')
    table.rows = [
        Row('a|b', 'run', dict(f1=Estimate(0.91234, 0.9, 0.92), mcc=Estimate(-0.5))),
        Row('c', 'external', dict(f1=Estimate(0.91233, 0.9, 0.92), mcc=Estimate(None, note='no slice'))),
        Row('d', 'run', dict(f1=Estimate(0.8, note='one patient'), mcc=Estimate(None, note='no slice'))),
        Row('e', 'published', dict(f1=Estimate(0.99))),
    ]
    table.mark_best()
    lines = table.markdown().split('\n')
    assert lines[0] == '### Title' and lines[2] == 'Caption.'
    assert lines[6] == '| a\\|b | **91.23** (90.00 to 92.00) | **\u22120.500** |'
    assert lines[7] == '| c *(external)* | **91.23** (90.00 to 92.00) | \u2013 [a] |'  # equal as printed: both are best
    assert lines[8] == '| d | 80.00 [b] | \u2013 [a] |'
    assert lines[9] == '| e *(published)* | 99.00 | \u2013 |'  # does not compete
    assert lines[11:14] == ['[a] No slice.  ', '[b] One patient.  ', '\u2013 without a letter: not reported.  ']
    assert [record['value'] for record in table.records() if record['model'] == 'c'] == [0.91233, None]


def test_a_single_row_has_no_best():
    table = Table('t', 'T', '', [Column('f1', 'F1 %')], 't', [Row('a', 'run', dict(f1=Estimate(0.5)))])
    table.mark_best()
    assert not table.rows[0].bold
