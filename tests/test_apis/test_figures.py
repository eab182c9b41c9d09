"""Figures of the paper as files."""

import json

import pytest
from report_helpers import lesion_records, slice_records, write_results

from mmaffinity.apis import figures


def names(files):
    return [file.name for file in files]


def test_confusion_matrices_are_named_after_their_runs(tmp_path):
    first = write_results(tmp_path / 'first', slice_records(30, 9))
    write_results(first, slice_records(30, 9, seed=1), name='results_left_out.json', ann_file='annotations/left_out.json')
    lesions = write_results(tmp_path / 'lesions', lesions=lesion_records(4))
    found = figures.confusion_figures([first, lesions], tmp_path / 'out')
    assert len(found) == 4 and all(file.stat().st_size > 1000 for file in found) and len(set(names(found))) == 4
    assert {'confusion_first.png', 'confusion_first.pdf'} <= set(names(found))
    with pytest.raises(ValueError, match='no run in .*lesions classified slices'):
        figures.confusion_figures([lesions], tmp_path / 'out')


def test_slices_are_chosen_from_the_results(tmp_path):
    slices, lesions = slice_records(60, 9), lesion_records(12)
    folder = write_results(tmp_path / 'run', slices, lesions)
    write_results(folder, slice_records(9, 3, first=900), name='results_val.json', split='val')  # not of the test set
    chosen = figures.slices_to_show(folder, 'classification')
    by_path = {record['rel_path']: record for record in slices}
    assert [by_path[path]['label'] for path in chosen] == [0, 1, 2] == [by_path[path]['pred'] for path in chosen]
    chosen = figures.slices_to_show(folder / 'results.json', 'segmentation')
    aps = [sum(record['ap']) for path in chosen for record in lesions if record['rel_path'] == path]
    assert len(aps) == 3 and aps == sorted(aps, reverse=True)


def test_results_without_a_suitable_slice_are_named(tmp_path):
    folder = write_results(tmp_path / 'run', slice_records(9, 3))
    with pytest.raises(ValueError, match='run: no slice with lesions was tested, .*; choose slices with --slices'):
        figures.slices_to_show(folder, 'segmentation')
    with pytest.raises(ValueError, match='run: no slice is correctly classified, .*; choose slices with --slices'):
        figures.slices_to_show(write_results(tmp_path / 'other' / 'run', lesions=lesion_records(4)), 'classification')


@pytest.mark.parametrize('content', ['{', '[]', '{"tables": [{}]}', '{"tables": 3}', '\x00'])
def test_other_files_are_no_report(tmp_path, content):
    (tmp_path / 'report.json').write_text(content)
    with pytest.raises(ValueError, match='report.json is not a report.json of mmaffinity report'):
        figures.rank_figure(tmp_path / 'report.json', tmp_path)


def test_ranks_of_a_report(tmp_path):
    rows = [
        dict(model=model, kind='own', metric=metric, value=value)
        for model, values in (('a', (0.4, 0.9)), ('b', (0.5, 0.8)))
        for metric, value in zip(('mAP', 'f1'), values)
    ]
    (tmp_path / 'report.json').write_text(json.dumps(dict(tables=[dict(key='table3', figures=rows)])))
    assert names(figures.rank_figure(tmp_path / 'report.json', tmp_path / 'out')) == ['figure5_ranks.png', 'figure5_ranks.pdf']
    rows[2:] = []
    (tmp_path / 'report.json').write_text(json.dumps(dict(tables=[dict(key='table3', figures=rows)])))
    with pytest.raises(ValueError, match='two models'):
        figures.rank_figure(tmp_path / 'report.json', tmp_path)


def test_missing_inputs_are_named(tmp_path, narrow_phantom):
    with pytest.raises(FileNotFoundError, match='scalars.json'):
        figures.curve_figure(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match='write it with mmaffinity report'):
        figures.rank_figure(tmp_path / 'report.json', tmp_path)
    config, checkpoint, overrides = narrow_phantom
    with pytest.raises(ValueError, match='nowhere.png matches 0 classification slices of the test set: give'):
        figures.evidence_figures(config, checkpoint, tmp_path, ['nowhere.png'], overrides)
    assert list(tmp_path.iterdir()) == []
