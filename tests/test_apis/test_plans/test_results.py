"""The report on the finished runs of a plan."""

import json

import pytest
from report_helpers import slice_records, write_results

from mmaffinity.apis.plans import read_plan
from mmaffinity.apis.plans.folder import PlanFolder
from mmaffinity.apis.plans.results import collect, has_affinities

pytestmark = pytest.mark.slow


def test_figures_are_drawn_for_models_with_affinities(tmp_path):
    (tmp_path / 'cncb_ncov').mkdir()
    plan = read_plan('plans/paper', tmp_path)
    assert [run.name for run in plan.runs if has_affinities(run)] == ['c8', 'c16', 'c32', 'c64']


def test_a_plan_without_finished_runs_has_no_report(two, tmp_path):
    with pytest.raises(ValueError, match='no run in .*out has finished, so there is nothing to report'):
        collect(PlanFolder(two, tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()


def test_the_page_names_what_cannot_be_drawn(two, tmp_path):
    """The run left results, but neither a log nor a readable checkpoint."""
    folder = PlanFolder(two, tmp_path / 'out')
    entry = dict(ann_files=['annotations/slices_test.json'], num=30, synthetic=True, sha256='f00d')
    write_results(folder.of('a'), slice_records(30, 9), versions={})
    results = json.loads((folder.of('a') / 'results.json').read_text())
    (folder.of('a') / 'results.json').write_text(json.dumps({**results, 'lists': dict(classification=entry)}))
    (folder.of('a') / 'epoch_3.pth').touch()
    text = collect(folder, {'b': 'train failed'}).read_text()
    assert '\n## Table 4' in text and (folder.report / 'report.csv').is_file()
    missing = dict(part.split('\n\nMissing: ', 1) for part in text.split('\n## ') if 'Missing: ' in part)
    assert set(missing) == {'Figure 4: affinities of a', 'Figure 6: lesions, a', 'Training of a'}
    assert 'epoch_3.pth' in missing['Figure 4: affinities of a'] and 'scalars.json' in missing['Training of a']
    assert 'no slice with lesions was tested' in missing['Figure 6: lesions, a']
