"""Training runs in processes of their own, which can be killed, and in several processes."""

import errno
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path

import torch
import torch._dynamo  # noqa: F401  (every optimizer imports it, which takes seconds: once, in the server)
from mmengine.fileio import LocalBackend
from model_helpers import NARROW

from mmaffinity.apis import inferencer, prediction, testing, training, verification_page  # noqa: F401  (as above)
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.evaluation.metrics import SliceClassificationMetric
from mmaffinity.scans.image_scan import ImageScan
from mmaffinity.scans.journal import Journal
from mmaffinity.utils.config import load_config

# Two epochs of three pairs of stages on the tiny phantom: 64 x 64, narrow layers, both stages from the start.
STEPS = 6
SMALL = {
    **{f'model.{key}': value for key, value in NARROW.items()},
    'image_size': (64, 64),
    'train_cfg.max_epochs': 2,
    'train_cfg.val_interval': 1,
    'train_dataloader.batch_size': 2,
    'train_dataloader.sampler.segmentation_epochs': 0,
    'model.train_cfg.rcnn.sampler.num': 16,
    'model.test_cfg.rpn.max_per_img': 30,
    'model.train_cfg.rpn_proposal.max_per_img': 30,
    'default_hooks.logger.interval': 1,
    **{
        f'{split}_dataloader.{key}': value
        for split in ('train', 'val', 'test')
        for key, value in (('num_workers', 0), ('persistent_workers', False))
    },
}
_CONTEXT = multiprocessing.get_context('forkserver')


def process(target, *args):
    """Start a fresh process, forked by a server that has imported all this once."""
    before = os.environ.get('PYTHONPATH')
    # The server looks there for what it shall import before it forks; before Python 3.13 it does not get sys.path.
    os.environ['PYTHONPATH'] = os.pathsep.join(path for path in sys.path if path)
    try:
        _CONTEXT.set_forkserver_preload(['run_helpers'])
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ['PYTHONPATH']
        else:
            os.environ['PYTHONPATH'] = before
    started = _CONTEXT.Process(target=target, args=args)
    started.start()
    return started


def join(processes):
    """Wait for processes; return their exit codes, negative for signals."""
    for started in processes:
        started.join(300)
        if started.exitcode is None:
            started.kill()
            raise AssertionError('the run hangs')
    return [started.exitcode for started in processes]


def small_config(repo_root, data_root, **extra):
    """The config of a small run, as an object."""
    return load_config(repo_root / 'configs/affinity_c8_phantom.py', {**SMALL, 'data_root': str(data_root), **extra})


def write_small_config(repo_root, data_root, path, **extra):
    """The same in a file, as a command takes it."""
    small_config(repo_root, data_root, **extra).dump(path)
    return path


def kill_me():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_step():
    """Die in the middle of the second epoch, inside the optimizer's step."""
    step, calls = torch.optim.Adam.step, []

    def dying(self, *args, **kwargs):
        calls.append(0)
        if len(calls) == STEPS + 3:
            kill_me()
        return step(self, *args, **kwargs)

    torch.optim.Adam.step = dying


def kill_in_writing():
    """Die when half of the second checkpoint is on the disk."""
    put = LocalBackend.put

    def dying(self, content, path):
        if 'epoch_2' not in str(path):
            return put(self, content, path)
        with open(path, 'wb') as file:
            file.write(content[: len(content) // 2])
        kill_me()

    LocalBackend.put = dying


def kill_in_validation():
    """Die in the validation after the first epoch."""
    SliceClassificationMetric.process = lambda *args: kill_me()


def kill_in_prediction():
    """Die when the third slice is predicted, before it is in the journal."""
    add, calls = Journal.add, []

    def dying(self, *args):
        calls.append(0)
        if len(calls) == 3:
            kill_me()
        add(self, *args)

    Journal.add = dying


def fail_in_scan_a():
    """Raise what nothing foresees when a scan in/a is read."""
    keys = ImageScan.keys

    def failing(self):
        if self.info.name == 'in/a':
            raise RuntimeError('odd')
        return keys(self)

    ImageScan.keys = failing


def as_rank_0_of_2():
    """What torchrun tells the first of two processes."""
    os.environ.update(RANK='0', WORLD_SIZE='2', LOCAL_RANK='0')


def as_rank_1_of_2():
    """What torchrun tells the second of two processes."""
    os.environ.update(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1')


def _run(root, arguments, before):
    torch.set_num_threads(1)
    if before is not None:
        before()
    os.chdir(root)
    sys.argv = [str(argument) for argument in arguments]
    runpy.run_path(sys.argv[0], run_name='__main__')


def _run_as_rank(root, rank, world_size, port, arguments):
    """What torchrun makes of a process, in this one."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        CUDA_VISIBLE_DEVICES='',
        OMP_NUM_THREADS='1',
    )
    _run(root, [*arguments, '--launcher', 'pytorch'], None)


def run_command(root, *arguments, before=None):
    """Run a tool in a process of its own, after a function; return the exit code, negative for a signal."""
    return join([process(_run, root, arguments, before)])[0]


def _run_forked(arguments, cwd, environment, streams, before):
    if before is not None:
        before()
    for number, path in enumerate(streams, start=1):
        with open(path, 'ab') as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    os.chdir(cwd)
    sys.argv = arguments
    if arguments[0] == '-m':
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
    else:
        runpy.run_path(arguments[0], run_name='__main__')


def run_forked(command, *, cwd='.', env=None, stdout=None, before=None, **_):
    """Do what ``subprocess.run`` does for a Python script or module, without the 5 s of importing torch and MMDetection.

    Args:
        command: ``[sys.executable, SCRIPT, ...]`` or ``[sys.executable, '-m', MODULE, ...]``.
        cwd: folder in which it runs.
        env: its environment; None means that of this process.
        stdout: open file for both its output streams; None means that they are captured.
        before: function that it calls first.
    """
    program, *arguments = map(str, command)
    assert program == sys.executable, command
    with tempfile.TemporaryDirectory() as folder:
        streams = [stdout.name] * 2 if stdout else [f'{folder}/out', f'{folder}/err']
        environment = dict(os.environ if env is None else env)
        code = join([process(_run_forked, arguments, str(cwd), environment, streams, before)])[0]
        texts = [None, None] if stdout else [Path(path).read_text() for path in streams]
    return subprocess.CompletedProcess(command, code, *texts)


def run_pair(root, *arguments):
    """Run a tool in two processes, without torchrun, which would have to import everything again; return the exit codes."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    return join([process(_run_as_rank, root, rank, 2, port, arguments) for rank in range(2)])


def run_state(path):
    """Weights and optimizer state of a checkpoint, flat."""
    content = load_checkpoint(path)
    moments = {
        f'{index}.{name}': torch.as_tensor(value)
        for index, state in content['optimizer']['state'].items()
        for name, value in state.items()
    }
    return {**content['state_dict'], **moments}


def differences(first, second):
    """Names of the tensors that differ in any bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


def fill_disk(monkeypatch) -> None:
    """Make each checkpoint fail as on a full disk: when its content has to go there."""

    def write(file):
        if Path(file.name).name.endswith('.pth.part'):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)

    monkeypatch.setattr('mmaffinity.utils.files._sync', write)


def average_with(monkeypatch, module, other):
    """Let a second process with the values ``other`` take part in an average."""

    def all_reduce(values, op):
        assert op == 'mean'
        values.copy_((values + other) / 2)

    monkeypatch.setattr(module, 'all_reduce', all_reduce)
