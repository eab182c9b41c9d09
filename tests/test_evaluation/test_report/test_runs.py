"""Runs from records of slices."""

import json

import pytest
from report_helpers import slice_records, write_results

from mmaffinity.evaluation.report import load_runs

RECORDS = slice_records(20, 6)


@pytest.mark.parametrize(
    'field, value',
    [
        ('scores', [float('nan')] * 3),
        ('scores', [1.5, 0, 0]),
        ('scores', [-0.1, 0, 0]),
        ('scores', ['x', 0, 0]),
        ('logits', [float('inf'), 0, 0]),
    ],
)
def test_invalid_probabilities_name_their_slice(tmp_path, field, value):
    records = json.loads(json.dumps(RECORDS))
    records[4][field] = value
    with pytest.raises(ValueError, match='x' if 'x' in value else records[4]['rel_path']) as error:
        load_runs([write_results(tmp_path, records)])
    assert 'results.json' in str(error.value)
