"""Reading of plan files, and errors in them."""

import argparse

import pytest
from plan_helpers import TWO, write_plan

from mmaffinity.apis.plans import read_plan
from mmaffinity.apis.plans.folder import PlanFolder
from mmaffinity.apis.plans.plan import as_arguments
from mmaffinity.utils.cli import ConfigOptions
from mmaffinity.utils.config import load_config

pytestmark = pytest.mark.slow


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
        ValueError,
        match='no run of paper.py can start: the folder .*cncb_ncov of the data set cncb_ncov does not exist.*or try --phantom',
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
