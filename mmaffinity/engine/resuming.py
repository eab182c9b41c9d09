"""Find the checkpoint from which to resume a run."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmaffinity.checkpoints import load_checkpoint

# Required to resume exactly; weights alone (best_*.pth, published models) are not enough.
_NEEDED = ('meta', 'state_dict', 'optimizer', 'message_hub')
_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')


def newest_whole_checkpoint(folders: Iterable[str | Path]) -> tuple[Path | None, list[str]]:
    """Find the newest checkpoint from which a run can resume, among ``epoch_<n>.pth`` and ``iter_<n>.pth`` in some folders.

    MMEngine reads the path from the file ``last_checkpoint``, which may be truncated, or refer to a truncated checkpoint or to
    the folder from which this one was copied or moved. This function inspects the checkpoints themselves, newest first, until
    one is complete: its checksums are correct and it contains everything that resuming needs.

    Args:
        folders: the work directory and any other folders with checkpoints.

    Returns:
        The path, or None if no checkpoint is complete; and for each newer checkpoint skipped, a message with the reason.
    """
    found = {
        path
        for folder in folders
        if Path(folder).is_dir()
        for path in Path(folder).iterdir()
        if _NAME.fullmatch(path.name) and path.is_file()
    }
    problems: list[str] = []
    for path in sorted(found, key=_age, reverse=True):
        problem = _what_is_wrong(path)
        if problem is None:
            return path, problems
        problems.append(problem)
    return None, problems


def _age(path: Path) -> tuple[float, int]:
    kind, number = path.stem.split('_')
    # Epoch and iteration numbers are not comparable, and copying a folder changes file times. Times are therefore used only
    # if a folder has both kinds of checkpoint.
    others = [other for other in path.parent.iterdir() if (match := _NAME.fullmatch(other.name)) and match[1] != kind]
    return (path.stat().st_mtime if others else 0.0, int(number))


def _what_is_wrong(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch does not verify checksums
        if broken is not None:
            return f'{path} is damaged: the checksum of {broken} differs'
        content = load_checkpoint(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return f'{path} is truncated or damaged ({error})'
    missing = [key for key in _NEEDED if key not in content]
    return f'{path} cannot be resumed: it has no {" and no ".join(missing)}' if missing else None
