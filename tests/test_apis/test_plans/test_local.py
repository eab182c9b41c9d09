"""A small plan from start to report: stopped, resumed, with a failing run."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from plan_helpers import fork_commands, small_options, write_plan

from mmaffinity.apis.plans import local, read_plan, run_locally
from mmaffinity.apis.plans.folder import PlanFolder
from mmaffinity_cli import main

TEXT = f"""
title = 'A small study'
small = {small_options()!r}
runs = [
    dict(name='c8', config='affinity_c8_phantom', data='cncb_ncov', options={small_options(epochs=2, interval=1)!r},
         tests=dict(results='affinity_c8_phantom', results_left_out='affinity_c8_left_out')),
    dict(name='bad', config='affinity_c8_phantom', data='cncb_ncov', options={{**small, 'optim_wrapper.optimizer.type': 'No'}}),
    dict(name='c8_ictcf', config='affinity_c8_phantom_ictcf', data='ictcf', options={{**small, 'load_from': '{{c8}}'}}),
    dict(name='after_bad', config='affinity_c8_phantom_ictcf', data='ictcf', options={{**small, 'load_from': '{{bad}}'}}),
    dict(name='elsewhere', config='affinity_c8_phantom', data='third'),
]
data['third'] = dict()
"""


def test_small_plan_from_start_to_report(tmp_path, tiny_phantom, repo_root, monkeypatch, capsys):
    monkeypatch.setenv('PYTHONPATH', str(repo_root))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    path, out = write_plan(tmp_path / 'study.py', TEXT), tmp_path / 'out'
    arguments = ['mmaffinity', 'reproduce', str(tiny_phantom), '--plan', str(path), '--out', str(out)]

    # Killed in the middle of the first run: its training ends, too.
    with subprocess.Popen([sys.executable, '-m', *arguments], stdout=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 300
        while not (out / 'runs/c8/run.json').exists():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        process.kill()
    end = time.monotonic() + 300  # the training ends once it has imported its packages
    while subprocess.run(['pgrep', '-f', f'{out}/runs/c8'], capture_output=True).stdout:
        assert time.monotonic() < end
        time.sleep(0.2)

    fork_commands(monkeypatch)
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(SystemExit) as end:
        main()
    done = capsys.readouterr()
    assert end.value.code == 1, done.err
    assert f'skipped elsewhere: the folder {tiny_phantom}/third of the data set third does not exist' in done.out
    assert f'bad did not finish: train failed (exit code 1), see {out}/runs/bad/log.txt: ' in done.err
    assert 'after_bad did not finish: starts from bad, which did not finish' in done.err
    assert 'time left: about' in done.out or 'time left: under a minute' in done.out
    plan = read_plan(path, tiny_phantom)
    assert [run.name for run in plan.runs if PlanFolder(plan, out).done(run)] == ['c8', 'c8_ictcf']

    page = (out / 'report/index.md').read_text()
    for heading in (
        '# A small study',
        '## Table 3',
        '## Table 4',
        '## Table 5',
        '## Table 7',
        '## Figure 4',
        '## Figure 5',
        '## Figure 6',
        '## What differs from the paper',
        '## Data',
        '## Versions',
        '## Commands',
    ):
        assert f'\n{heading}' in f'\n{page}', heading
    assert (
        '\n| elsewhere |' in page
        and f'| skipped: the folder {tiny_phantom}/third of the data set third does not exist |' in page
    )
    assert 'Not in the tables: bad, after_bad, elsewhere.' in page
    assert '\nMissing: ' not in page  # of tables and figures
    assert 'The slices are synthetic' in page and '*(published)*' in page
    assert 'Table 3: tested on 4 slices of `lesions_test.json`; the paper used 100.' in page
    results = json.loads((out / 'runs/c8/results.json').read_text())
    assert results['lists']['classification']['sha256'] in page and results['versions']['torch'] in page
    assert '| training of c8 |  |  | `' in page
    for picture in [part.partition(')')[0] for part in page.split('](')[1:]]:
        assert picture.startswith('http') or (out / 'report' / picture).is_file(), picture

    # Nothing is repeated, and the printed commands work on their own.
    before = (out / 'runs/c8/results.json').stat().st_mtime_ns
    said = []
    failed = run_locally(PlanFolder(plan, out), progress=said.append)
    assert set(failed) == {'bad', 'after_bad'} and said[0] == '2 of 4 runs are done'
    assert (out / 'runs/c8/results.json').stat().st_mtime_ns == before


def test_unwritable_run_folder_does_not_stop_other_runs(tmp_path, tiny_phantom, monkeypatch):
    text = """
        title = 'Two'
        runs = [dict(name=name, config='affinity_c8_phantom', data='cncb_ncov') for name in ('a', 'b')]
        """

    def call(step, log, environment):
        step.makes.touch()
        return 0

    folder = PlanFolder(read_plan(write_plan(tmp_path / 'two.py', text), tiny_phantom), tmp_path / 'out')
    folder.of('a').parent.mkdir(parents=True)
    folder.of('a').write_text('a file in place of the folder')
    monkeypatch.setattr(local, '_call', call)
    failed = run_locally(folder, 1)
    assert list(failed) == ['a'] and failed['a'].startswith('could not be run: ') and folder.done(folder.plan.run('b'))


def test_a_fold_with_shared_slices_is_not_trained(tmp_path, tiny_phantom, monkeypatch):
    """Every slice is listed again under another patient, so a fold trains on slices that it tests."""
    copy = tmp_path / 'data' / 'cncb_ncov'
    shutil.copytree(tiny_phantom / 'cncb_ncov', copy)
    path = copy / 'annotations' / 'slices_train.json'
    content = json.loads(path.read_text())
    content['data_list'] += [{**row, 'patient_id': f'{row["patient_id"]}-again'} for row in content['data_list']]
    path.write_text(json.dumps(content))
    lists = {
        'test_dataloader.dataset.datasets.0.ann_file': 'annotations/lesions_train.json',
        'test_dataloader.dataset.datasets.1.ann_file': 'annotations/slices_train.json',
    }
    text = f"""
title = 'Folds'
runs = [dict(name='c8', config='affinity_c8_phantom', data='cncb_ncov', folds=2, options={lists!r})]
"""
    fork_commands(monkeypatch)
    folder = PlanFolder(read_plan(write_plan(tmp_path / 'folds.py', text), tmp_path / 'data'), tmp_path / 'out')
    failed = run_locally(folder)
    assert set(failed) == {'c8_fold0', 'c8_fold1'}
    for name, reason in failed.items():
        assert reason.startswith('verify failed (exit code 1)')
        log = (folder.of(name) / 'log.txt').read_text()
        assert 'in both train and test' in log and 'mmaffinity train' not in log


def test_invalid_number_of_jobs(tmp_path, tiny_phantom):
    plan = read_plan(write_plan(tmp_path / 'study.py', TEXT), tiny_phantom)
    with pytest.raises(ValueError, match='--jobs must be at least 1, not 0'):
        run_locally(PlanFolder(plan, tmp_path / 'out'), jobs=0)
