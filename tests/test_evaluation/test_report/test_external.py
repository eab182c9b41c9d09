"""Systems that are not trained here."""

import csv
import json

import pytest
from report_helpers import CLASSES, slice_records, write_results

from mmaffinity.evaluation.report import load_external, load_runs

RECORDS = slice_records(20, 6)


@pytest.fixture
def known(tmp_path):
    return load_runs([write_results(tmp_path / 'run', RECORDS)])[0]


def predictions(path, records=RECORDS, scores=True, pred=None):
    with open(path, 'w', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerow(['img_path', 'pred', *([f'score_{name}' for name in CLASSES] if scores else [])])
        for record in records:
            own = record['scores'] if scores else []
            writer.writerow([record['rel_path'], pred or CLASSES[record['pred']], *own])
    return path


def test_matrix_as_json_and_csv(tmp_path):
    matrix = [[3, 1, 0], [0, 4, 1], [1, 0, 5]]
    (tmp_path / 'a.json').write_text(json.dumps(dict(classes=CLASSES, confusion=matrix, source='Table 2 of ...')))
    rows = ['truth,Normal,CP,COVID-19', 'COVID-19,1,0,5', 'Normal,3,1,0', 'CP,0,4,1']  # rows in any order
    (tmp_path / 'a.csv').write_text('\n'.join(rows) + '\n')
    for name in ('a.json', 'a.csv'):
        run = load_external('System', tmp_path / name, [])
        assert run.confusion.tolist() == matrix and run.classes == CLASSES
        assert run.external and run.labels is None and 'published confusion matrix' in run.notes[0]


def test_predictions_take_labels_and_patients_from_the_same_list(tmp_path, known):
    run = load_external('System', predictions(tmp_path / 'p.csv', list(reversed(RECORDS))), known)
    assert run.tested == known[0].tested and run.patients == known[0].patients
    assert (run.labels == known[0].labels).all() and (run.predictions == known[0].predictions).all()
    assert (run.confusion == known[0].confusion).all() and run.scores.shape == (20, 3)
    assert load_external('System', predictions(tmp_path / 'q.csv', scores=False), known).scores is None


def test_invalid_files_are_named(tmp_path, known):
    with pytest.raises(FileNotFoundError, match='System'):
        load_external('System', tmp_path / 'absent.csv', known)
    with pytest.raises(ValueError, match=r'no run in the report was tested on the 19 slices of System.*contains 19 of them'):
        load_external('System', predictions(tmp_path / 'p.csv', RECORDS[:-1]), known)
    with pytest.raises(ValueError, match="'Flu' for .* is not one of"):
        load_external('System', predictions(tmp_path / 'p.csv', pred='Flu'), known)
    with pytest.raises(ValueError, match='listed twice'):
        load_external('System', predictions(tmp_path / 'p.csv', RECORDS + RECORDS[:1]), known)
    for text in ('', 'a,b\n1,2\n', 'truth,Normal,CP\nNormal,1,2\n', '{"classes": []}'):
        for suffix in ('.csv', '.json'):
            (tmp_path / f'x{suffix}').write_text(text)
            with pytest.raises(ValueError, match='x'):
                load_external('System', tmp_path / f'x{suffix}', known)
    (tmp_path / 'm.json').write_text(json.dumps(dict(classes=['a', 'b'], confusion=[[1, 2], [3, -4]])))
    with pytest.raises(ValueError, match='counts of slices'):
        load_external('System', tmp_path / 'm.json', known)


@pytest.mark.parametrize(
    'rows, message',
    [
        (['Normal,1.5,0,0', 'CP,1,1,1', 'COVID-19,1,1,1'], "'1.5' is not a whole number"),
        (['Normal,1,0', 'CP,1,1,1', 'COVID-19,1,1,1'], 'counts of slices'),
        (['Normal,1,0,0', 'Normal,5,0,0', 'CP,1,1,1', 'COVID-19,1,1,1'], 'each class must have one row'),
        (['Normal,1,0,0', 'CP,1,1,1', 'COVID-19,1,1,1', 'Flu,1,1,1'], 'each class must have one row'),
    ],
)
def test_csv_matrix_with_other_classes_is_rejected(tmp_path, rows, message):
    (tmp_path / 'm.csv').write_text('\n'.join(['truth,Normal,CP,COVID-19', *rows]))
    with pytest.raises(ValueError, match=f'm.csv: .*{message}'):
        load_external('System', tmp_path / 'm.csv', [])


@pytest.mark.parametrize(
    'classes, confusion, message',
    [
        (['a', 'a'], [[1, 0], [1, 1]], 'distinct names'),
        ('ab', [[1, 0], [1, 1]], 'distinct names'),
        ([1, 2], [[1, 0], [1, 1]], 'distinct names'),
        (['a', 'b'], [[1], [1, 1]], 'counts of slices'),
    ],
)
def test_json_matrix_with_other_classes_is_rejected(tmp_path, classes, confusion, message):
    (tmp_path / 'm.json').write_text(json.dumps(dict(classes=classes, confusion=confusion)))
    with pytest.raises(ValueError, match=f'm.json: .*{message}'):
        load_external('System', tmp_path / 'm.json', [])


def test_non_numeric_score_is_named(tmp_path, known):
    file = predictions(tmp_path / 'p.csv')
    file.write_text(file.read_text().replace(str(RECORDS[2]['scores'][1]), 'high'))
    with pytest.raises(ValueError, match="p.csv: 'high' is not a number"):
        load_external('System', file, known)
