"""Do without the garbage collector where it costs time and finds nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused(freeze: bool = False) -> Iterator[None]:
    """Pause the garbage collector, which would scan a growing heap again and again.

    Importing torch and MMDetection, or reading a large annotation file, creates about a million objects that all stay; scanning
    them takes as long as creating them.

    Args:
        freeze: also exclude every object that exists afterwards from later collections, and from the one at exit. For
            processes of our own, after their imports: cyclic garbage from before is never freed.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if enabled:
            gc.enable()
