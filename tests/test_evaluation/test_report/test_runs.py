"""Runs from records of slices: one order and one identity of the tested list, and records that are rejected."""

import json

import numpy as np
import pytest
from report_helpers import CLASSES, slice_records, write_results

from mmaffinity.evaluation.report import load_runs
from mmaffinity.evaluation.report.runs import TestedList, make_slice_run, path_of

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


def make(records, **fields):
    return make_slice_run('run', CLASSES, records, ['slices_test.json'], 'results.json', **fields)


def test_slices_are_sorted_by_path_with_all_that_belongs_to_them():
    run = make(RECORDS[::-1], synthetic=True)
    assert run.paths == tuple(sorted(record['rel_path'] for record in RECORDS)) and run.synthetic
    by_path = {record['rel_path']: record for record in RECORDS}
    for place, path in enumerate(run.paths):
        record = by_path[path]
        assert (run.labels[place], run.predictions[place]) == (record['label'], record['pred'])
        assert run.scores[place].tolist() == record['scores'] and run.logits[place].tolist() == record['logits']
        assert (run.patients[place], run.scans[place]) == (record['patient_id'], record['scan_id'])
    expected = np.zeros((3, 3), int)
    for record in RECORDS:
        expected[record['label'], record['pred']] += 1
    assert run.confusion.tolist() == expected.tolist()


def test_what_some_slices_lack_is_unknown():
    records = [dict(record) for record in RECORDS]
    del records[3]['logits'], records[5]['patient_id']
    run = make(records)
    assert run.logits is None and run.scores.shape == (20, 3)
    assert sorted(run.patients, key=str)[0] is not None and run.patients.count(None) == 1


def test_a_tested_list_is_identified_by_its_slices_in_any_order():
    one = TestedList.of(['a.json'], ['x/1.png', 'x/2.png'])
    assert one == TestedList.of(['a.json'], ['x/2.png', 'x/1.png'])
    assert one.sha256 != TestedList.of(['a.json'], ['x/1.png', 'x/3.png']).sha256
    assert str(one) == f'a.json (2 slices, sha256 {one.sha256[:12]})'
    assert str(TestedList.of(['a.json', 'b.json'], ['x'])).startswith('a.json, b.json (1 slice, ')


def test_path_relative_to_the_data_root_is_preferred():
    assert path_of(dict(img_path='/data/a.png', rel_path='a.png')) == 'a.png'
    assert path_of(dict(img_path='/data/a.png', rel_path=None)) == path_of(dict(img_path='/data/a.png')) == '/data/a.png'


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(label=3), 'a label is not one of the 3 classes Normal, CP, COVID-19'),
        (dict(pred=-1), 'a prediction is not one of the 3 classes'),
        (dict(rel_path=RECORDS[1]['rel_path']), 'the slice .* occurs twice'),
        (dict(logits=[0.0, 1.0]), 'logits of a slice must be 3 numbers, one per class'),
    ],
)
def test_invalid_records_are_rejected_with_the_file(change, message):
    with pytest.raises(ValueError, match=f'^results.json: {message}'):
        make([{**RECORDS[0], **change}, *RECORDS[1:]])
