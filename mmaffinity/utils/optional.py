"""Import optional packages."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
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
            f'this needs the {module.split(".")[0]} package, which is not installed ({error}); run: {install_command(extra)}'
        ) from error


def install_command(extra: str) -> str:
    """Return the command that installs an extra of the installed distribution: this package, or its runtime alone."""
    try:
        version('mmaffinity')
    except PackageNotFoundError:
        try:
            version('mmaffinity-runtime')
        except PackageNotFoundError:
            pass  # a checkout that is not installed
        else:
            return f'pip install "mmaffinity-runtime[{extra}]"'
    return f'pip install "mmaffinity[{extra}]"'


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
