"""The division of scans among processes."""

from pathlib import Path

import pytest

from mmaffinity.scans import ReadOptions
from mmaffinity.scans.image_scan import ImageScan
from mmaffinity.scans.shards import Shard, find_shard


def scan(name, folder='/data'):
    return ImageScan(Path(folder), ['a.png'], name, ReadOptions())


@pytest.mark.parametrize('num', [1, 2, 3, 7])
def test_every_scan_is_in_one_shard_wherever_the_data_is_mounted(num):
    shards = [Shard(index, num) for index in range(num)]
    owners = [[shard.owns(scan(f'study/{number}')) for shard in shards] for number in range(200)]
    assert all(sum(found) == 1 for found in owners)
    assert owners == [[shard.owns(scan(f'study/{number}', '/mnt/other')) for shard in shards] for number in range(200)]
    sizes = [sum(column) for column in zip(*owners)]
    assert min(sizes) > 100 / num  # half of an equal share


def test_the_division_never_changes():
    """Pinned: another division would repeat what other versions have predicted."""
    owners = [next(i for i in range(7) if Shard(i, 7).owns(scan(f'study/{number}'))) for number in range(8)]
    assert owners == [4, 6, 4, 3, 2, 2, 1, 6]


def test_scans_that_compete_for_a_folder_are_in_one_shard():
    for num in (2, 3, 7):
        assert len({next(i for i in range(num) if Shard(i, num).owns(scan(name))) for name in ('a b', 'a-b', 'A-B')}) == 1


@pytest.mark.parametrize(
    'environ, arguments, expected',
    [
        ({}, (), (None, 'a single process')),
        ({}, (3, 1), (Shard(1, 3), 'options')),
        ({}, (1, 0), (None, 'options')),
        ({'RANK': '1', 'WORLD_SIZE': '4'}, (), (Shard(1, 4), 'torchrun')),
        ({'RANK': '0', 'WORLD_SIZE': '1'}, (), (None, 'torchrun')),
        ({'RANK': '1', 'WORLD_SIZE': '4'}, (1,), (None, 'torchrun')),
        ({'SLURM_PROCID': '2', 'SLURM_NTASKS': '3', 'SLURM_STEP_NUM_TASKS': '3'}, (), (Shard(2, 3), 'srun')),
        # The batch script of a job with several tasks is one process.
        ({'SLURM_PROCID': '0', 'SLURM_NTASKS': '3'}, (), (None, 'a single process')),
        # Arrays often predict another folder in each task.
        ({'SLURM_ARRAY_TASK_ID': '5', 'SLURM_ARRAY_TASK_COUNT': '8'}, (), (None, 'a single process')),
        ({'SLURM_ARRAY_TASK_ID': '5'}, (8,), (Shard(5, 8), 'SLURM job array')),
        (
            {'SLURM_ARRAY_TASK_ID': '5', 'SLURM_ARRAY_TASK_MIN': '1', 'SLURM_ARRAY_TASK_STEP': '2'},
            (8,),
            (Shard(2, 8), 'SLURM job array'),
        ),
    ],
)
def test_the_shard_of_a_process(environ, arguments, expected):
    assert find_shard(*arguments, environ=environ) == expected


@pytest.mark.parametrize(
    'environ, arguments, words',
    [
        ({}, (3,), '--num-shards 3 needs --shard I, 0 to 2'),
        ({}, (1, 5), 'shard 5 of 1 does not exist'),
        ({}, (0, 0), 'shard 0 of 0 does not exist'),
        ({}, (0,), '--num-shards 0 must be at least 1'),
        ({}, (None, 1), '--shard 1 needs --num-shards'),
        ({}, (3, 3), 'shard 3 of 3 does not exist'),
        ({'SLURM_ARRAY_TASK_ID': '8'}, (8,), 'shard 8 of 8 does not exist'),
        ({'RANK': '1', 'WORLD_SIZE': '4'}, (3,), '--num-shards 3, but torchrun started 4 processes'),
    ],
)
def test_incomplete_or_contradictory_numbers(environ, arguments, words):
    with pytest.raises(ValueError, match=words):
        find_shard(*arguments, environ=environ)
