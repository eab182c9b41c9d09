"""End child processes whose parent was killed."""

import os
import threading
import time


def end_with_parent(parent: int) -> None:
    """End this process soon after its parent ends, whatever it is doing.

    A killed process cannot notify its children, which would wait forever for work or, like torch's loader workers, for their
    results to be read.

    Args:
        parent: ID of the parent process.
    """
    threading.Thread(target=_watch, args=(parent,), name='parent_watch', daemon=True).start()


def _watch(parent: int) -> None:
    # The parent of a fork-server process is the fork server, not the process that requested it.
    is_there = _is_parent if _is_parent(parent) else _is_running
    while is_there(parent):
        time.sleep(1)
    os._exit(1)  # not sys.exit, which would end only this thread


def _is_parent(number: int) -> bool:
    return os.getppid() == number


def _is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except OSError:
        return False
    return True
