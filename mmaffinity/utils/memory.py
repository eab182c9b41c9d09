"""Memory of a process: its usage, as reported by Linux, and reuse of freed memory."""

import ctypes
import sys
from pathlib import Path
from typing import Any

# Parameters of mallopt and their values: blocks from this size are returned to the system when freed, and so is the end of the
# heap beyond this size.
_KEEP = {'M_MMAP_THRESHOLD': (-3, 2**30), 'M_TRIM_THRESHOLD': (-1, 2**31 - 1)}


def process_memory(entry: str, process: int | str = 'self') -> float | None:
    """Return the memory of a process in MiB.

    Args:
        entry: 'VmRSS' for resident memory, 'VmHWM' for its peak.
        process: ID of the process.

    Returns:
        The value; None if the process has ended or the system does not report it.
    """
    try:
        lines = Path(f'/proc/{process}/status').read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f'{entry}:')), None)


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next allocations.

    The C library returns large freed blocks to the system, which zeroes every page before handing it out again. Each training
    step frees and allocates the same blocks: with one slice of 512 x 512, this took 8 % of the CPU time. docs/speed.md has the
    measurement.

    Returns:
        Whether the C library supports this; only glibc does.
    """
    mallopt = _glibc('mallopt')
    return mallopt is not None and all([mallopt(parameter, value) for parameter, value in _KEEP.values()])


def return_freed_memory() -> bool:
    """Return the freed memory of this process to the system, also after :func:`keep_freed_memory`, if the C library can."""
    malloc_trim = _glibc('malloc_trim')
    return malloc_trim is not None and bool(malloc_trim(0))


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith('linux') else None
