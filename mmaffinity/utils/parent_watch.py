"""The end of helper processes whose parent was killed."""
import os
import threading
import time


def end_with_parent(parent: int) -> None:
    """End this process soon after its parent ended, whatever it is doing then.

    A process that was killed could not tell those that it had started. They would wait for work for ever, or, as torch's
    loader workers do, for somebody to read what they still have to hand over.

    Args:
        parent: number of the process that this one works for.
    """
    threading.Thread(target=_watch, args=(parent,), name='parent_watch', daemon=True).start()


def _watch(parent: int) -> None:
    # A process of a fork server has that as its parent, not the one which asked for it.
    is_there = _is_parent if _is_parent(parent) else _is_running
    while is_there(parent):
        time.sleep(1)
    os._exit(1)  # not sys.exit, which would end this thread alone


def _is_parent(number: int) -> bool:
    return os.getppid() == number


def _is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except OSError:
        return False
    return True
