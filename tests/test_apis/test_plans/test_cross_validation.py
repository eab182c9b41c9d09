"""Cross-validation trained end to end through a plan: two folds, two values of C*."""

import json
import re

import pytest
from plan_helpers import fork_commands, small_options

from mmaffinity.apis.plans import collect, read_plan, run_locally
from mmaffinity.apis.plans.folder import PlanFolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def done(tiny_phantom, repo_root, tmp_path_factory):
    """The documented plan with small models, on the tiny phantom."""
    root = tmp_path_factory.mktemp('cross_validation')
    text = (repo_root / 'configs/plans/cross_validation_phantom.py').read_text()
    (root / 'plan.py').write_text(f"{text}for run in runs:\n    run['options'].update({small_options()!r})\n")
    with pytest.MonkeyPatch.context() as patch:
        fork_commands(patch)
        folder = PlanFolder(read_plan(root / 'plan.py', tiny_phantom), root / 'out')
        folder.claim()
        failed = run_locally(folder)
        assert failed == {}, [(folder.of(name) / 'log.txt').read_text()[-2000:] for name in failed]
    collect(folder)
    return folder


def results(folder, run):
    return json.loads((folder.of(run) / 'results.json').read_text())


def test_each_slice_is_tested_once_without_patient_overlap(done, tiny_phantom):
    annotations = tiny_phantom / 'cncb_ncov/annotations'
    listed = {record['img_path'] for record in json.loads((annotations / 'slices_train.json').read_text())['data_list']}
    for count in (8, 16):
        folds = [results(done, f'c{count}_fold{fold}') for fold in (0, 1)]
        assert [content['fold']['index'] for content in folds] == [0, 1]
        for task in ('slices', 'lesions'):
            patients = [{record['patient_id'] for record in content[task]} for content in folds]
            assert patients[0] and patients[1] and not patients[0] & patients[1]
        assert sorted(record['rel_path'] for content in folds for record in content['slices']) == sorted(listed)
        log = (done.of(f'c{count}_fold1') / 'log.txt').read_text()
        assert log.index(' verify ') < log.index(' train ') < log.index(' test ')


def test_pooled_and_per_fold_figures_are_in_the_report(done):
    text = (done.report / 'index.md').read_text()
    content = json.loads((done.report / 'report.json').read_text())
    tables = {table['key']: table for table in content['tables']}
    for count in (8, 16):
        name = f'c{count} (2 of 2 folds)'
        assert f'Cross-validation: {name}' in text
        figures = [row for table in tables.values() for row in table['figures'] if row['model'] == name]
        pooled = next(row for row in figures if row['metric'] == 'accuracy')
        records = [record for fold in (0, 1) for record in results(done, f'c{count}_fold{fold}')['slices']]
        assert pooled['value'] == pytest.approx(sum(r['label'] == r['pred'] for r in records) / len(records))
        rows = [row for row in tables[f'folds_{name}']['figures'] if row['metric'] == 'slice/accuracy']
        for fold in (0, 1):
            (row,) = [row for row in rows if row['model'] == str(fold)]
            assert row['value'] == pytest.approx(results(done, f'c{count}_fold{fold}')['metrics']['slice/accuracy'])


def test_report_page_pools_all_folds(done):
    page = (done.report / 'report.html').read_text()
    head = json.loads(re.search('<script type="application/json" id="head">(.*?)</script>', page)[1])
    assert [run['name'] for run in head['runs']] == ['c8 (2 of 2 folds)', 'c16 (2 of 2 folds)']
    for run, count in zip(head['runs'], (8, 16)):
        for task in ('slices', 'lesions'):
            assert len(run[task]) == sum(len(results(done, f'c{count}_fold{fold}')[task]) for fold in (0, 1))
