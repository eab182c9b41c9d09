"""The folder of a plan: it belongs to one plan, and started runs keep their configs."""

import json
import os

import pytest
from plan_helpers import TWO, write_plan

from mmaffinity.apis.plans import read_plan
from mmaffinity.apis.plans.folder import PlanFolder

pytestmark = pytest.mark.slow


def test_folder_of_another_plan_is_rejected(two, tmp_path, tiny_phantom):
    folder = PlanFolder(two, tmp_path / 'out')
    folder.claim()
    folder.claim()
    other = read_plan(write_plan(tmp_path / 'other.py', TWO.replace("'Two'", "'Other'")), tiny_phantom)
    with pytest.raises(ValueError, match='belongs to the plan "Two" on .*, not "Other" on .*: choose another folder'):
        PlanFolder(other, tmp_path / 'out').claim()
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.tex').touch()
    with pytest.raises(ValueError, match='is not empty and contains no plan'):
        PlanFolder(two, tmp_path / 'full').claim()
    (tmp_path / 'out' / 'plan.json').write_text('{')
    with pytest.raises(ValueError, match='plan.json is damaged'):
        folder.claim()


def test_changed_config_of_a_started_run_is_an_error(two, tmp_path, tiny_phantom):
    folder = PlanFolder(two, tmp_path / 'out')
    folder.claim()
    folder.start(two.run('a'))
    changed = read_plan(write_plan(tmp_path / 'two.py', TWO.replace('(64, 64)', '(96, 64)')), tiny_phantom)
    with pytest.raises(ValueError, match=r'config of a has changed since .*runs/a was started \(for a: image_size'):
        PlanFolder(changed, tmp_path / 'out').claim()
    longer = TWO.replace('runs = [', "runs = [dict(name='c', config='affinity_c8_phantom', data='cncb_ncov'), ")
    PlanFolder(read_plan(write_plan(tmp_path / 'two.py', longer), tiny_phantom), tmp_path / 'out').claim()


@pytest.mark.parametrize(
    'change, words',
    [
        (("load_from='{a}'", "load_from='{c}'"), 'for b: load_from'),
        (("name='b', config=", "name='b', tests=dict(results='affinity_c16_ictcf'), config="), 'for b: .* of the test results'),
    ],
)
def test_inputs_of_a_finished_run_must_not_change(two, tmp_path, tiny_phantom, change, words):
    folder = PlanFolder(two, tmp_path / 'out')
    folder.claim()
    run = two.run('b')
    folder.start(run)
    for name in (run.checkpoint, 'results.json'):
        (folder.of('b') / name).touch()
    assert folder.done(run)
    text = TWO.replace('runs = [', "runs = [dict(name='c', config='affinity_c8_phantom', data='cncb_ncov'), ")
    PlanFolder(read_plan(write_plan(tmp_path / 'two.py', text), tiny_phantom), tmp_path / 'out').claim()
    assert change[0] in text
    other = read_plan(write_plan(tmp_path / 'two.py', text.replace(*change)), tiny_phantom)
    with pytest.raises(ValueError, match=f'config of b has changed since .*{words}'):
        PlanFolder(other, tmp_path / 'out').claim()


def test_tests_may_be_added_to_a_finished_run(two, tmp_path, tiny_phantom):
    folder = PlanFolder(two, tmp_path / 'out')
    folder.claim()
    folder.start(two.run('a'))
    for name in (two.run('a').checkpoint, 'results.json'):
        (folder.of('a') / name).touch()
    tests = "tests=dict(results='affinity_c8_phantom', results_again='affinity_c8_phantom'), "
    text = TWO.replace("name='a', ", f"name='a', {tests}")
    longer = PlanFolder(read_plan(write_plan(tmp_path / 'two.py', text), tiny_phantom), tmp_path / 'out')
    longer.claim()
    assert not longer.done(longer.plan.run('a'))
    assert [step.kind for step in longer.steps(longer.plan.run('a')) if not step.done] == ['test']
    longer.start(longer.plan.run('a'))
    assert set(json.loads((folder.of('a') / 'run.json').read_text())['tests']) == {'results', 'results_again'}


def test_state_of_a_run_shows_the_end_of_its_newest_log(two, tmp_path):
    folder = PlanFolder(two, tmp_path / 'out')
    run = two.run('b')
    assert folder.state(run) == 'not started'
    log, slurm = folder.of('b') / 'log.txt', folder.out / 'slurm/logs/1.log'  # SLURM numbers the runs
    for number, (path, text) in enumerate(((log, 'epoch 1\nerror: no such file\n\n \n'), (slurm, ''))):
        path.parent.mkdir(parents=True)
        path.write_text(text)
        os.utime(path, (number, number))
    assert folder.state(run) == f'not finished, see {slurm}: no output'
    os.utime(log, (5, 5))
    assert folder.state(run) == f'not finished, see {log}: error: no such file'
    for name in (run.checkpoint, 'results.json'):
        (folder.of('b') / name).touch()
    assert folder.state(run) == 'done'
