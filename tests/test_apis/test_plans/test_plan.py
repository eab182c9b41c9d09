"""Reading of plan files, and errors in them."""

import argparse
import json
import shlex

import pytest
from plan_helpers import write_plan

from mmaffinity.apis.plans import read_plan
from mmaffinity.apis.plans.cost import Cost, number_of_steps, training_speed
from mmaffinity.apis.plans.folder import PlanFolder, command_line
from mmaffinity.apis.plans.page import commands
from mmaffinity.apis.plans.plan import as_arguments
from mmaffinity.apis.plans.results import has_affinities
from mmaffinity.commands import reproduce
from mmaffinity.utils.cli import ConfigOptions
from mmaffinity.utils.config import load_config

pytestmark = pytest.mark.slow
TWO = """
title = 'Two'
runs = [dict(name='a', config='affinity_c8_phantom', data='cncb_ncov', options={'image_size': (64, 64)}),
        dict(name='b', config='affinity_c8_phantom_ictcf', data='ictcf', options=dict(load_from='{a}'))]
"""


@pytest.fixture
def two(tmp_path, tiny_phantom):
    return read_plan(write_plan(tmp_path / 'two.py', TWO), tiny_phantom)


def test_paper_plan(tmp_path):
    (tmp_path / 'data/cncb_ncov').mkdir(parents=True)
    (tmp_path / 'data/ictcf').mkdir()
    plan = read_plan('plans/paper', tmp_path / 'data')
    names = [run.name for run in plan.runs]
    assert len(names) == 14 and not plan.left_out
    for count in (8, 16, 32, 64):
        run = plan.run(f'c{count}')
        assert run.checkpoint == 'epoch_100.pth' and set(run.tests) == {'results', 'results_left_out'}
        assert plan.run(f'c{count}_ictcf').needs == (f'c{count}',)
    assert plan.run('covid_ct_mask_net').needs == ('mask_rcnn_full',)
    assert [command for command, _ in plan.prepare] == [
        ['convert', 'cncb-ncov', f'{tmp_path}/data/cncb_ncov'],
        ['convert', 'ictcf', f'{tmp_path}/data/ictcf'],
    ]


def test_the_phantom_plan_has_the_runs_of_the_paper(tmp_path):
    for name in ('cncb_ncov', 'ictcf'):
        (tmp_path / name).mkdir()
    paper, phantom = read_plan('plans/paper', tmp_path), read_plan('plans/phantom', tmp_path)

    def described(run):
        head = load_config(run.config, run.options).model.get('roi_head', {}).get('cls_head', {})
        return run.name, list(run.tests), head.get('num_affinities')

    assert list(map(described, phantom.runs)) == list(map(described, paper.runs))
    for run in paper.runs:
        assert set(run.needs) <= set(phantom.run(run.name).needs)
    assert [command[0] for command, _ in phantom.prepare] == ['phantom', 'convert', 'convert']


def test_documented_example(tmp_path, repo_root, monkeypatch):
    text = (repo_root / 'docs/reproduce.md').read_text().split('```python\n')[1].split('```')[0]
    assert len(text.splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    for name, base in (('my_config', 'affinity_c8'), ('my_finetuning', 'affinity_c8_ictcf')):
        (tmp_path / f'{name}.py').write_text(f"_base_ = '{repo_root}/configs/{base}.py'\n")
    for name in ('ours', 'theirs'):
        (tmp_path / 'data' / name).mkdir(parents=True)
    (tmp_path / 'my_study.py').write_text(text)
    plan = read_plan('my_study.py', 'data')
    assert len(plan.runs) == 2 + 4 * 5 and plan.run('theirs').needs == ('base',)
    assert plan.run('c32_fold4').options == {
        'model.roi_head.cls_head.num_affinities': 32,
        'data_root': 'data/ours',
        'folds': 5,
        'fold': 4,
    }


def test_runs_without_ictcf_are_kept(tmp_path):
    (tmp_path / 'cncb_ncov').mkdir()
    plan = read_plan('plans/paper', tmp_path)
    assert len(plan.runs) == 9 and set(plan.left_out) == {*(f'c{count}_ictcf' for count in (8, 16, 32, 64)), 'vgg16_ictcf'}
    assert plan.left_out['c8_ictcf'] == f'the folder {tmp_path}/ictcf of the data set ictcf does not exist'
    (tmp_path / 'cncb_ncov').rename(tmp_path / 'other')
    with pytest.raises(
        ValueError, match='no run of paper.py can start: the folder .*cncb_ncov of the data set cncb_ncov does not exist'
    ):
        read_plan('plans/paper', tmp_path)


def test_seeds_and_folds_multiply_the_runs(tmp_path, tiny_phantom):
    text = TWO.replace("data='cncb_ncov'", "data='cncb_ncov', folds=2").replace("data='ictcf'", "data='ictcf', folds=2")
    plan = read_plan(write_plan(tmp_path / 'two.py', text), tiny_phantom, seeds=2)
    assert [run.name for run in plan.runs] == [
        'a_fold0',
        'a_fold1',
        'a_fold0_seed1',
        'a_fold1_seed1',
        'b_fold0',
        'b_fold1',
        'b_fold0_seed1',
        'b_fold1_seed1',
    ]
    run = plan.run('b_fold1_seed1')
    assert run.needs == ('a_fold1_seed1',) and run.seed == 1 and (run.options['folds'], run.options['fold']) == (2, 1)
    kinds = [step.kind for step in PlanFolder(plan, tmp_path / 'out').steps(run)]
    assert kinds == ['verify', 'train', 'test']


@pytest.mark.parametrize(
    'change, words',
    [
        (("title = 'Two'", ''), 'needs a title'),
        (("name='a'", "name='../a'"), 'becomes a folder'),
        (("name='b'", "name='a'"), 'two runs are named a'),
        (("'{a}'", "'{aa}'"), 'b starts from aa, which is not a run listed above it; did you mean a'),
        (("options={'", "option={'"), 'unknown field option'),
        (("data='ictcf'", "data='lungs'"), "uses the data 'lungs', but the plan has cncb_ncov, ictcf"),
        (("data='ictcf'", "data='ictcf', folds=1"), 'folds=1'),
        (("data='cncb_ncov'", "data='cncb_ncov', folds=2"), 'b starts from a, which has 2 folds'),
        (
            ("data='ictcf'", "data='ictcf', tests=dict(mine='x')"),
            "tests of b are {'mine': 'x'}, but must be .* names that start with .results",
        ),
        (("config='affinity_c8_phantom',", "config='affinity_c9',"), 'no such config: affinity_c9; did you mean'),
        (('runs = [', 'runs = ['[:-1]), 'cannot be read as a plan'),
    ],
)
def test_invalid_plans_are_errors(tmp_path, tiny_phantom, change, words):
    assert change[0] in TWO
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        read_plan(write_plan(tmp_path / 'two.py', TWO.replace(*change)), tiny_phantom)


def test_commands_are_printed_in_a_valid_order(two, tmp_path):
    folder = PlanFolder(two, tmp_path / 'my out')
    lines = [shlex.split(line) for line in commands(folder)]
    assert [line[line.index('train') if 'train' in line else line.index('test')] for line in lines] == [
        'train',
        'test',
        'train',
        'test',
    ]
    checkpoint = f'{tmp_path}/my out/runs/a/epoch_3.pth'
    assert checkpoint in lines[1] and f'load_from={checkpoint}' in lines[2] and 'image_size=(64,64)' in lines[0]
    assert not any('load_from' in word for word in lines[3])  # seeds have one test config
    folder.of('a').mkdir(parents=True)
    for name in ('epoch_3.pth', 'results.json'):
        (folder.of('a') / name).touch()
    assert len(list(commands(folder, unfinished=True))) == 2 and folder.done(two.run('a'))


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


def test_time_left_counts_only_remaining_steps(two, tmp_path, tiny_phantom):
    folder = PlanFolder(two, tmp_path / 'out')
    cost = Cost(folder, jobs=1)
    assert str(cost.time_left()) == 'unknown until the first training steps are logged'
    log = folder.of('a') / '20210101' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"lr": 1, "time": 60.0, "step": 1}\n{"lr": 1, "time": 180.0, "step": 2}\n{"slice/f1": 1}\n{"lr"')
    assert training_speed(folder.of('a')) == (120.0, 2)
    steps = [number_of_steps(load_config(run.config, run.options), 'train_dataloader') for run in two.runs]
    found = cost.time_left()
    assert found.seconds == 120 * (sum(steps) - 2) and found.unknown == 2 and 'and 2 tests not measured yet' in str(found)
    assert Cost(folder, jobs=2).time_left().seconds == found.seconds / 2
    for name in ('epoch_3.pth', 'results.json'):
        (folder.of('a') / name).touch()
    (folder.of('a') / 'seconds.json').write_text(json.dumps({'results.json': 30.0}))
    batches = [number_of_steps(load_config(run.config, run.options), 'test_dataloader') for run in two.runs]
    assert cost.time_left().seconds == 120 * steps[1] + 30 * batches[1] / batches[0] and not cost.time_left().unknown


def test_a_dry_run_writes_nothing(tmp_path, tiny_phantom, capsys, monkeypatch):
    import argparse

    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    path = write_plan(tmp_path / 'two.py', TWO)
    out = tmp_path / 'out'
    assert reproduce.run(parser.parse_args([str(tiny_phantom), '--plan', str(path), '--out', str(out), '--dry-run'])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[-1].endswith('--collect') and not out.exists()
    for arguments, words in (
        ([], 'missing DATA_ROOT'),
        (['/no/where'], 'folder /no/where does not exist'),
        ([str(tiny_phantom), '--phantom'], '--phantom has its own plan'),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            reproduce.run(parser.parse_args([*arguments, '--out', str(out)]))
    assert command_line(['test', 'a b']).endswith("test 'a b'")


def test_figures_are_drawn_for_models_with_affinities(tmp_path):
    (tmp_path / 'cncb_ncov').mkdir()
    plan = read_plan('plans/paper', tmp_path)
    assert [run.name for run in plan.runs if has_affinities(run)] == ['c8', 'c16', 'c32', 'c64']


def test_overrides_are_passed_to_the_commands_unchanged():
    options = {
        'data_root': '/my data/a,b',
        'image_size': (64, 64),
        'slice_classes': ['0', '1'],
        'optim_wrapper.optimizer': dict(lr=1e-4, betas=(0.9, 0.99)),
    }
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    assert parser.parse_args(['--cfg-options', *as_arguments(options)]).cfg_options == {
        'data_root': '/my data/a,b',
        'image_size': (64, 64),
        'slice_classes': ['0', '1'],
        'optim_wrapper.optimizer.lr': 1e-4,
        'optim_wrapper.optimizer.betas': (0.9, 0.99),
    }
