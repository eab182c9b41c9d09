"""Import optional packages."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: dotted name, for example 'sklearn.metrics'.
        extra: extra of this package that installs it.

    Raises:
        ValueError: if it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f'this needs the {module.split(".")[0]} package, which is not installed ({error}); '
            f'run: pip install "mmaffinity[{extra}]"'
        ) from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress Python's warnings, in a block or as a decorator."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Suppress Python's warnings, and what a package's logger and those below it report, except errors.

    Args:
        logger: name of the logger, for example 'highdicom'; 'root' for functions that log without one.
    """
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with without_warnings():
            yield
    finally:
        log.setLevel(level)
