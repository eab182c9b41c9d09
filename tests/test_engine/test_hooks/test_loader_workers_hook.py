"""Loader workers of a run that was killed."""

import os
import signal
import time
from functools import partial
from types import SimpleNamespace

import pytest
from run_helpers import kill_me, process
from torch.utils.data import DataLoader, Dataset

from mmaffinity.engine import LoaderWorkersHook


class Large(Dataset):
    """Items of 1 MB, far more than a pipe takes."""

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return bytes(1 << 20)


def note(path, worker):
    """A config's own function for the start of a worker."""
    (path / f'{os.getpid()}').touch()


def load_and_die(path, method):
    own = partial(note, path)
    loader = DataLoader(
        Large(), num_workers=2, batch_size=1, collate_fn=list, worker_init_fn=own, multiprocessing_context=method
    )
    runner = SimpleNamespace(train_dataloader=loader)
    for _ in range(2):  # a second call must not watch twice
        LoaderWorkersHook().before_train(runner)
    assert loader.worker_init_fn.keywords['then'] is own
    next(iter(loader))
    while len(list(path.iterdir())) < 2:
        time.sleep(0.05)
    kill_me()


def alive(number):
    try:
        with open(f'/proc/{number}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'  # a zombie counts as dead
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='processes are looked up in /proc')
@pytest.mark.parametrize('method', ['fork', 'forkserver'])
def test_workers_end_with_unread_batches(method, tmp_path):
    run = process(load_and_die, tmp_path, method)
    run.join(120)
    assert run.exitcode == -signal.SIGKILL
    workers = [int(path.name) for path in tmp_path.iterdir()]
    end = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert len(workers) == 2 and not any(map(alive, workers))


def test_loader_without_workers_is_unaffected():
    loader = DataLoader(Large())
    LoaderWorkersHook().before_val(SimpleNamespace(val_dataloader=loader))
    LoaderWorkersHook().before_test(SimpleNamespace(test_dataloader=loader))
    assert loader.worker_init_fn is None
