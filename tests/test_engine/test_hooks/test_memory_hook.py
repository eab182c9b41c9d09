"""Recorded memory of a run, and its limit."""

import mmap
from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger

from mmaffinity.engine import MemoryHook


def test_memory_hook_detects_retained_memory(tmp_path):
    try:
        hook = MemoryHook(interval=2, last=4, limit=50)
    except ValueError as error:
        pytest.skip(str(error))
    runner = SimpleNamespace(iter=0, logger=MMLogger.get_instance('memory'), train_loop=SimpleNamespace(stop_training=False))
    held = []
    for runner.iter in range(4):
        held.append(mmap.mmap(-1, 32 << 20))  # its own pages; bytes might reuse freed memory
        held[-1].write(b'x' * (32 << 20))
        assert not runner.train_loop.stop_training
        hook.after_train_iter(runner, 0)
    assert [row[0] for row in hook.rows] == [2, 4] and runner.train_loop.stop_training
    assert 50 < hook.rows[1][1] - hook.rows[0][1] < 80  # 64 MiB
    with pytest.raises(ValueError, match=r'memory grew by \d\d\.\d MiB, more than the limit of 50'):
        hook.after_train(runner)
    hook.limit = 100
    hook.after_train(runner)


def test_memory_of_a_test_run(tmp_path):
    try:
        hook = MemoryHook(interval=1, limit=20)
    except ValueError as error:
        pytest.skip(str(error))
    runner = SimpleNamespace(logger=MMLogger.get_instance('memory'))
    for i in range(3):
        hook.after_test_iter(runner, i)
    assert [row[0] for row in hook.rows] == [1, 2, 3]
    hook.after_test(runner)  # no memory was retained


def test_a_limit_needs_two_measurements():
    try:
        hook = MemoryHook(interval=3, limit=20)
    except ValueError as error:
        pytest.skip(str(error))
    runner = SimpleNamespace(logger=MMLogger.get_instance('memory'))
    for i in range(4):
        hook.after_test_iter(runner, i)
    with pytest.raises(ValueError, match='every 3 iterations, there are 1, .*more than 20 MiB: use a smaller interval'):
        hook.after_test(runner)
    hook.limit = None
    hook.after_test(runner)


def test_memory_hook_rejects_an_invalid_interval():
    with pytest.raises(ValueError, match='interval=0'):
        MemoryHook(interval=0)
