"""Memory of a process, as Linux reports it."""

from pathlib import Path


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
