"""A plan on a real SLURM cluster of one node: array, dependency, preemption, a failing run."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from plan_helpers import small_options, write_plan
from slurm_helpers import Cluster, why_no_slurm

from mmaffinity.apis.plans import read_plan, submit
from mmaffinity.apis.plans.folder import PlanFolder, plan_arguments
from mmaffinity.apis.plans.slurm import write_scripts
from mmaffinity.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow

EPOCHS = 3


@pytest.fixture
def cluster():
    reason = why_no_slurm()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix='slurm'))  # pytest's paths are too long for a socket
    try:
        with Cluster(folder / 'c') as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(tmp_path, tiny_phantom, repo_root, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(repo_root), str(repo_root / 'tests')]))
    # SLURM may take 20 seconds to preempt a job, so the training waits for it.
    waiting = tmp_path / 'waiting.py'
    waiting.write_text(f"""
_base_ = {str(repo_root / 'configs/affinity_c8_phantom.py')!r}
custom_imports = dict(imports=['mmaffinity', 'waiting_hook'])
default_hooks = dict(wait=dict(type='WaitingHook', epoch=2, seconds=300))
""")
    path = write_plan(
        tmp_path / 'study.py',
        f"""
title = 'A study under SLURM'
small = {small_options()!r}
runs = [
    dict(name='first', config={str(waiting)!r}, data='cncb_ncov', options={small_options(epochs=EPOCHS, interval=1)!r}),
    dict(name='second', config='affinity_c8_phantom_ictcf', data='ictcf', options={{**small, 'load_from': '{{first}}'}}),
    dict(name='bad', config='affinity_c8_phantom', data='cncb_ncov', options={{**small, 'optim_wrapper.optimizer.type': 'No'}}),
    dict(name='after_bad', config='affinity_c8_phantom_ictcf', data='ictcf', options={{**small, 'load_from': '{{bad}}'}}),
]
""",
    )
    made = PlanFolder(read_plan(path, tiny_phantom), tmp_path / 'my study')
    made.claim()
    return made


def collecting(folder):
    return [*plan_arguments(folder.plan, folder.out, False), '--collect']


def test_array_dependency_preemption_and_failure(folder, cluster, monkeypatch):
    for name in ('SLURM_CONF', 'PATH'):
        monkeypatch.setenv(name, cluster.environment[name])
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    jobs = submit(folder, collecting(folder), options=['--partition=low'])
    assert len(jobs) == 4
    runs, second, after_bad, report = jobs
    with pytest.raises(ValueError, match=f'still in the queue .*scancel {runs}'):
        submit(folder, collecting(folder), options=['--partition=low'])

    # Once there is a checkpoint, a job of higher priority takes the node; the training is requeued and resumes.
    place = folder.of('first')
    cluster.wait((place / 'epoch_2.pth').exists, 'the second epoch')
    cluster.call('sbatch', '--parsable', '--partition=high', '--ntasks=2', '--output=/dev/null', '--wrap', 'sleep 1')
    cluster.wait(lambda: 'Restarts=1' in cluster.call('scontrol', 'show', 'job', f'{runs}_0'), 'the requeue', 120)
    assert not (place / f'epoch_{EPOCHS}.pth').exists()
    cluster.wait(lambda: not cluster.queue(), 'the end of all jobs', 600)

    states = {
        name: cluster.state(job)
        for name, job in (
            ('first', f'{runs}_0'),
            ('second', f'{second}_1'),
            ('bad', f'{runs}_2'),
            ('after_bad', f'{after_bad}_3'),
        )
    }
    assert states == dict(first='COMPLETED', second='COMPLETED', bad='FAILED', after_bad='CANCELLED')
    assert json.loads((place / 'run.json').read_text()) == folder.settings(folder.plan.run('first'))
    log = (folder.out / 'slurm/logs/0.log').read_text()
    assert 'resume' in log.lower()
    steps = [
        json.loads(line)['step']
        for file in sorted(place.glob('*/vis_data/scalars.json'))
        for line in file.read_text().splitlines()
        if '"lr"' in line
    ]
    assert len(list(place.glob('*/vis_data/scalars.json'))) == 2 and steps[-1] == EPOCHS * 6
    assert load_checkpoint(place / f'epoch_{EPOCHS}.pth')['meta']['iter'] == EPOCHS * 6
    assert folder.done(folder.plan.run('second')) and not folder.of('after_bad').exists()
    page = (folder.report / 'index.md').read_text()
    assert 'Table 4' in page and 'Not in the tables: bad, after_bad.' in page
    assert f'| bad | affinity_c8_phantom | 0 | not finished, see {folder.out}/slurm/logs/2.log: ' in page
    assert '| after_bad | affinity_c8_phantom_ictcf | 0 | not started |' in page
    assert cluster.state(report) == 'FAILED'  # the exit code shows that not all runs finished


def test_scripts_are_plain_shell(folder):
    script = write_scripts(folder, collecting(folder), jobs=2, options=['--partition=low', '--gpus=1'])
    text = script.read_text()
    for path in [script, *script.parent.glob('*.sbatch'), *script.parent.glob('jobs/*.sh')]:
        subprocess.run(['bash', '-n', str(path)], check=True)
    assert '--array=0,2%2 run.sbatch' in text
    assert '--array=1 --dependency="afterok:${runs}_0" --kill-on-invalid-dep=yes run.sbatch' in text
    assert '--array=3 --dependency="afterok:${runs}_2"' in text and '"afterany:$runs:$run_1:$run_3" collect.sbatch' in text
    array = (script.parent / 'run.sbatch').read_text()
    assert '#SBATCH --partition=low\n#SBATCH --gpus=1\n' in array and '#SBATCH --requeue' in array
    job = (script.parent / 'jobs/0.sh').read_text()
    assert f' train {folder.plan.run("first").config} ' in job and f"cp '{script.parent}/jobs/0.json'" in job


def test_missing_slurm_is_reported(folder, monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(ValueError, match='this machine has no sbatch.*--launcher local'):
        submit(folder, collecting(folder))
