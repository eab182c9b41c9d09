"""Divide scans among processes that predict into one folder without communicating."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from .items import Scan
from .output_folder import safe_name


@dataclass(frozen=True)
class Shard:
    """The share of scans that one of several processes predicts.

    The shard of a scan depends only on the name of its output folder, not on other scans or on where a machine has mounted the
    data. Scans that compete for a folder name are in the same shard.

    Attributes:
        index: index of the shard, from 0.
        num: number of shards.

    Raises:
        ValueError: if ``index`` is not within 0 to ``num - 1``.
    """

    index: int
    num: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.num:
            raise ValueError(
                f'shard {self.index} of {self.num} does not exist: --num-shards N must be at least 1, and --shard '
                'from 0 to N - 1'
            )

    def __str__(self) -> str:
        return f'{self.index}-of-{self.num}'

    def owns(self, scan: Scan) -> bool:
        """Return whether a scan belongs to this shard."""
        # ResultFolders compares folder names in lower case.
        digest = hashlib.sha256(safe_name(scan.info.name).lower().encode()).digest()
        return int.from_bytes(digest[:8], 'big') % self.num == self.index


def find_shard(
    num: int | None = None, index: int | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Shard | None, str]:
    """Return the shard of this process.

    Processes started together by torchrun or ``srun`` divide the scans automatically. Tasks of a SLURM job array do so only if
    ``num`` is given, because arrays often predict a different input in each task.

    Args:
        num: number of shards (``--num-shards``); by default that of torchrun or ``srun``.
        index: index of this shard (``--shard``); by default the rank of the process, or its position in the job array.
        environ: environment of the process.

    Returns:
        The shard, or None if there is only one; and the source of its index.

    Raises:
        ValueError: if the numbers are out of range, or one is missing and the environment does not provide it.
    """
    if index is not None and num is None:
        raise ValueError(f'--shard {index} needs --num-shards, the number of processes that share the scans')
    rank, size, origin = _rank(environ)
    if num is None:
        num = size
    if index is not None:
        shard = Shard(index, num)
        return (shard if num > 1 else None), 'options'
    if num < 1:
        raise ValueError(f'--num-shards {num} must be at least 1')
    if num == 1:
        return None, origin
    if size == 1 and 'SLURM_ARRAY_TASK_ID' in environ:
        step = int(environ.get('SLURM_ARRAY_TASK_STEP', '1'))
        first = int(environ.get('SLURM_ARRAY_TASK_MIN', '0'))
        rank, size, origin = (int(environ['SLURM_ARRAY_TASK_ID']) - first) // step, num, 'SLURM job array'
    if size == 1:
        raise ValueError(
            f'--num-shards {num} needs --shard I, 0 to {num - 1}, except under torchrun, srun or in a SLURM job array'
        )
    if size != num:
        raise ValueError(f'--num-shards {num}, but {origin} started {size} processes: make them equal, or omit the option')
    return Shard(rank, num), origin


def _rank(environ: Mapping[str, str]) -> tuple[int, int, str]:
    """Return the rank of this process, the number of processes, and their launcher."""
    if 'RANK' in environ and 'WORLD_SIZE' in environ:
        return int(environ['RANK']), int(environ['WORLD_SIZE']), 'torchrun'
    # The batch script itself also has SLURM_PROCID and SLURM_NTASKS but is a single process; only srun sets step variables.
    if 'SLURM_PROCID' in environ and 'SLURM_STEP_NUM_TASKS' in environ:
        return int(environ['SLURM_PROCID']), int(environ['SLURM_STEP_NUM_TASKS']), 'srun'
    return 0, 1, 'a single process'
