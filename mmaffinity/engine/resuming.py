"""Where an interrupted run goes on."""
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmaffinity.utils.checkpoint import load_checkpoint

# What a run needs to go on as if nothing had happened; weights alone (best_*.pth, published models) are not enough.
_NEEDED = ('meta', 'state_dict', 'optimizer', 'message_hub')
_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')


def newest_whole_checkpoint(folders: Iterable[str | Path]) -> tuple[Path | None, list[str]]:
    """Find the newest checkpoint that a run can go on from, among ``epoch_<n>.pth`` and ``iter_<n>.pth`` in some folders.

    MMEngine reads the path from the file ``last_checkpoint``, which can be cut itself, name a checkpoint that is cut, or
    name a place that the folder was copied or moved from. Here the checkpoints themselves are looked at, the newest
    first, until one is whole: its checksums are right and it has all that resuming needs.

    Args:
        folders: the work folder, and others that checkpoints are written to.

    Returns:
        The path, None if there is no whole one; and for every newer one that was passed over a sentence that says why.
    """
    found = {path for folder in folders if Path(folder).is_dir() for path in Path(folder).iterdir()
             if _NAME.fullmatch(path.name) and path.is_file()}
    problems: list[str] = []
    for path in sorted(found, key=_age, reverse=True):
        problem = _what_is_wrong(path)
        if problem is None:
            return path, problems
        problems.append(problem)
    return None, problems


def _age(path: Path) -> tuple[float, int]:
    kind, number = path.stem.split('_')
    # Numbers of epochs and iterations do not compare; copying a folder mixes up times, so they decide only where a
    # run was switched from counting one to counting the other.
    others = [other for other in path.parent.iterdir() if (match := _NAME.fullmatch(other.name)) and match[1] != kind]
    return (path.stat().st_mtime if others else 0., int(number))


def _what_is_wrong(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch does not compare checksums when it reads
        if broken is not None:
            return f'{path} is damaged: the checksum of {broken} differs'
        content = load_checkpoint(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return f'{path} is cut or damaged ({error})'
    missing = [key for key in _NEEDED if key not in content]
    return f'{path} cannot be resumed, as it has no {" and no ".join(missing)}' if missing else None
