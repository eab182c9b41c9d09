"""Import optional packages."""

import importlib
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
