"""Reading results files."""

import json

import pytest
from report_helpers import lesion_records, slice_records, write_results

from mmaffinity.evaluation.report import load_runs

RECORDS = slice_records(20, 6)


def test_run_names_are_as_short_as_possible(tmp_path):
    a = write_results(tmp_path / 'x' / 'model', RECORDS)
    b = write_results(tmp_path / 'y' / 'model', RECORDS, lesion_records(3))
    slices, lesions, notes = load_runs([a, b])
    assert [run.name for run in slices] == ['x/model', 'y/model'] and [run.name for run in lesions] == ['y/model']
    assert load_runs([a])[0][0].name == 'model' and not notes
    assert load_runs([a / 'results.json'])[0][0].name == 'results'
    assert lesions[0].ap.shape == (3, 10)


def test_validation_predictions_must_match_their_checkpoint(tmp_path):
    folder = write_results(tmp_path / 'a', RECORDS)
    write_results(folder, slice_records(12, 6, first=100), name='results_val.json', split='val')
    (run,) = load_runs([folder])[0]
    assert len(run.validation.labels) == 12
    write_results(folder, slice_records(12, 6, first=100), name='results_val.json', split='val', checkpoint='epoch_9.pth')
    slices, _, notes = load_runs([folder])
    assert slices[0].validation is None and 'no test results of the same checkpoint' in notes[0]
    # The same weights under two paths, identified by their digest.
    write_results(folder, RECORDS, checkpoint_sha256='ab12')
    write_results(
        folder,
        slice_records(12, 6, first=100),
        name='results_val.json',
        split='val',
        checkpoint='epoch_9.pth',
        checkpoint_sha256='ab12',
    )
    assert len(load_runs([folder])[0][0].validation.labels) == 12
    write_results(folder, slice_records(12, 6, first=100), name='results_val.json', split='val', checkpoint_sha256='cd34')
    assert load_runs([folder])[0][0].validation is None
    write_results(folder, RECORDS[:3] + slice_records(5, 5, first=100), name='results_val.json', split='val')
    write_results(folder, RECORDS)
    with pytest.raises(ValueError, match='3 slices are in both its test list and its validation list, such as'):
        load_runs([folder])


def test_results_without_logits_and_relative_paths(tmp_path):
    old = [{key: value for key, value in record.items() if key not in ('logits', 'rel_path')} for record in RECORDS]
    (run,) = load_runs([write_results(tmp_path / 'a', old)])[0]
    assert run.logits is None and run.paths[0].startswith('/data/cncb/')


def test_errors_explain_the_fix(tmp_path):
    with pytest.raises(FileNotFoundError, match='mmaffinity test'):
        load_runs([tmp_path])
    with pytest.raises(FileNotFoundError, match='absent does not exist'):
        load_runs([tmp_path / 'absent'])
    (tmp_path / 'results.json').write_text('{"slices": []}')
    with pytest.raises(ValueError, match='test again'):
        load_runs([tmp_path])
    with pytest.raises(ValueError, match='occurs twice'):
        load_runs([write_results(tmp_path / 'b', RECORDS + RECORDS[:1])])
    wrong = json.loads(json.dumps(RECORDS))
    wrong[0]['pred'] = 3
    with pytest.raises(ValueError, match='prediction is not one of the 3 classes'):
        load_runs([write_results(tmp_path / 'c', wrong)])
    wrong[0].update(pred=0, scores=[0.1, 0.2])
    with pytest.raises(ValueError, match='one per class'):
        load_runs([write_results(tmp_path / 'd', wrong)])
    _, _, notes = load_runs([write_results(tmp_path / 'e')])
    assert 'contains no tested slices' in notes[0]
    for number, (field, value) in enumerate([('ap', [0.5, 0.4]), ('ap', 3), ('ap', [None] * 10), ('num_gt', None)]):
        damaged = lesion_records(3)
        damaged[1][field] = value
        if value is None:
            del damaged[1][field]  # a key that is not there
        with pytest.raises(ValueError, match='test again'):
            load_runs([write_results(tmp_path / f'lesions{number}', lesions=damaged)])


def test_results_in_one_folder_on_one_list_get_distinct_names(tmp_path):
    folder = write_results(tmp_path / 'a', RECORDS, lesion_records(3))
    write_results(folder, [], lesion_records(3, model_seed=1), name='results_epoch_9.json')
    slices, lesions, _ = load_runs([folder])
    assert [run.name for run in lesions] == ['a (results)', 'a (results_epoch_9)']
    assert [run.name for run in slices] == ['a (results)']  # a model has one name in all tables
    assert (lesions[0].ap != lesions[1].ap).any()
    write_results(folder, slice_records(9, 3, first=70), name='results_epoch_9.json', ann_file='annotations/left_out.json')
    assert [run.name for run in load_runs([folder])[0]] == ['a', 'a']  # of two lists: in two tables


def test_duplicate_results_are_rejected(tmp_path):
    folder = write_results(tmp_path / 'a', RECORDS)
    for places in ([folder, folder], [folder, folder / 'results.json'], [folder, tmp_path / 'a' / '..' / 'a']):
        with pytest.raises(ValueError, match='results.json is given twice'):
            load_runs(places)


@pytest.mark.parametrize('value', [-1, float('nan'), None, 'x'])
def test_an_undefined_coco_ap_is_none(tmp_path, value):
    metrics = {'coco/segm_mAP': value, 'coco/segm_mAP_50': 0.5}
    (run,) = load_runs([write_results(tmp_path, lesions=lesion_records(3), metrics=metrics)])[1]
    assert run.coco == {'segm_mAP_50': 0.5}
