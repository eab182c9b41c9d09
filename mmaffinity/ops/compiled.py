"""Access to mmcv operations that have no plain-torch form here, for configs that use one."""

import importlib
from collections.abc import Callable
from importlib import util

import mmcv


def is_compiled() -> bool:
    """Return whether the installed mmcv has compiled operations, without loading them."""
    return util.find_spec('mmcv._ext') is not None


def load_compiled(name: str, config_name: str | None = None) -> Callable:
    """Return an operation of ``mmcv.ops``.

    Args:
        name: name such as 'ModulatedDeformConv2dPack'.
        config_name: its name in configs, such as 'DCNv2', if different.

    Raises:
        ValueError: if mmcv has no such operation, is installed without compiled operations, or they do not load; the
            message explains how to get it.
    """
    called = f'{config_name!r} ({name})' if config_name not in (None, name) else repr(name)
    problem = f'{called} is none of the operations of this package'
    try:
        return getattr(importlib.import_module('mmcv.ops'), name)
    except AttributeError as error:
        raise ValueError(f'{problem}, and none of mmcv {mmcv.__version__} either') from error
    except ImportError as error:
        state = 'are compiled but do not load' if is_compiled() else 'are not compiled'
        raise ValueError(
            f"{problem}; if mmcv has it, it needs mmcv's compiled operations, and those of the installed mmcv "
            f'{mmcv.__version__} {state} ({error}). Choose another type in the config, or compile mmcv for the installed '
            'torch: pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall --no-binary onedl-mmcv '
            f'onedl-mmcv=={mmcv.__version__} (it needs setuptools, ninja and a C++ compiler, and nvcc for GPUs)'
        ) from error
