"""Sample slices evenly from files and folders."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from .discovery import check_inputs, find_scans
from .items import Problem, Scan, Slice
from .opening import brief


def sample_slices(inputs: Sequence[str | Path], most: int | None = None) -> Iterator[Slice | Problem]:
    """Read every n-th slice of files and folders, without the scans that prediction would reject.

    Args:
        inputs: files and folders, as for prediction.
        most: largest number of slices; None for all.

    Yields:
        Slices, and a :class:`Problem` for each unreadable slice and each volume that is not a chest in Hounsfield units.

    Raises:
        FileNotFoundError: if an input does not exist.
    """
    check_inputs(inputs)
    scans: list[Scan] = []
    for scan in find_scans([str(path) for path in inputs]):
        if isinstance(scan, Problem):
            continue
        try:
            scan.check()
            scans.append(scan)
        except ValueError as error:
            yield Problem(scan.info.name, brief(error))
    keys = [(number, key) for number, scan in enumerate(scans) for key in scan.keys()]
    step = 1 if most is None else max(1, -(-len(keys) // most))
    wanted = set(keys[::step])
    for number, scan in enumerate(scans):
        yield from scan.read({key for key in scan.keys() if (number, key) not in wanted})
