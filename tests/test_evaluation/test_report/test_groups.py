"""Which runs may share a table."""

import copy

import pytest
from report_helpers import lesion_records, slice_records, write_results

from mmaffinity.evaluation.report import load_runs
from mmaffinity.evaluation.report.groups import group_runs

RECORDS = slice_records(40, 10)


def groups(*places):
    slices, lesions, _ = load_runs(places)
    return group_runs(slices, lesions)


def test_tables_by_classes_and_list(tmp_path):
    test = write_results(tmp_path / 'a', RECORDS, lesion_records(4))
    write_results(
        test, slice_records(30, 9, first=500), name='results_left_out.json', ann_file='annotations/slices_train_left_out.json'
    )
    ictcf = write_results(
        tmp_path / 'b', slice_records(30, 9, classes=('Negative', 'COVID-19')), classes=('Negative', 'COVID-19')
    )
    other = write_results(tmp_path / 'c', slice_records(30, 9, classes=('x', 'y')), classes=('x', 'y'))
    found = groups(test, ictcf, other)
    assert [group.key for group in found] == ['classes x, y', 'table3', 'table4', 'table5', 'table7']
    assert [len(group.runs) for group in found] == [1] * 5


def test_different_lists_are_rejected_and_named(tmp_path):
    a = write_results(tmp_path / 'a', RECORDS)
    b = write_results(tmp_path / 'b', RECORDS[:-1], ann_file='annotations/other.json')
    with pytest.raises(ValueError, match=r'(?s)different lists.*slices_test.json \(40 slices.*other.json \(39 slices'):
        groups(a, b)
    renamed = copy.deepcopy(RECORDS)
    renamed[3]['rel_path'] += 'x'
    with pytest.raises(ValueError, match='different lists'):
        groups(a, write_results(tmp_path / 'c', renamed))
    with pytest.raises(ValueError, match=r'Table 3.*different lists'):
        groups(
            write_results(tmp_path / 'd', lesions=lesion_records(4)), write_results(tmp_path / 'e', lesions=lesion_records(5))
        )


def test_the_same_slices_in_another_place_and_order_are_the_same_list(tmp_path):
    moved = [{**record, 'img_path': '/elsewhere/' + record['rel_path']} for record in reversed(RECORDS)]
    (found,) = groups(write_results(tmp_path / 'a', RECORDS), write_results(tmp_path / 'b', moved))
    assert len(found.runs) == 2 and (found.runs[0].labels == found.runs[1].labels).all()
    assert found.runs[0].paths == found.runs[1].paths


def test_changed_labels_and_classes_are_rejected(tmp_path):
    a, changed = write_results(tmp_path / 'a', RECORDS), copy.deepcopy(RECORDS)
    changed[5]['label'] = (changed[5]['label'] + 1) % 3
    with pytest.raises(ValueError, match=changed[5]['rel_path']):
        groups(a, write_results(tmp_path / 'b', changed))
    with pytest.raises(ValueError, match='classes differ'):
        groups(a, write_results(tmp_path / 'c', RECORDS, classes=('CP', 'Normal', 'COVID-19')))
