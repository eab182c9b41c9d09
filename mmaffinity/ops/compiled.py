"""Access to mmcv operations without a plain-torch version here, for configs that use one."""

import importlib
from collections.abc import Callable
from importlib import util

import mmcv


def is_compiled() -> bool:
    """Return whether the installed mmcv has compiled operations; this does not load them."""
    return util.find_spec('mmcv._ext') is not None


def load_compiled(name: str, config_name: str | None = None) -> Callable:
    """Return an operation of ``mmcv.ops``.

    Args:
        name: its name, such as 'ModulatedDeformConv2dPack'.
        config_name: its name in configs, such as 'DCNv2', if different.

    Raises:
        ValueError: if mmcv has no such operation, is installed without compiled operations, or cannot load them; the message
            explains how to compile mmcv.
    """
    called = f'{config_name!r} ({name})' if config_name not in (None, name) else repr(name)
    problem = f'{called} is not an operation of this package'
    try:
        return getattr(importlib.import_module('mmcv.ops'), name)
    except AttributeError as error:
        raise ValueError(f'{problem}, nor of mmcv {mmcv.__version__}: correct the type in the config') from error
    except ImportError as error:
        state = 'are compiled but cannot be loaded' if is_compiled() else 'are not compiled'
        raise ValueError(
            f"{problem}; if mmcv has it, it requires mmcv's compiled operations, and those of the installed mmcv "
            f'{mmcv.__version__} {state} ({error}). Choose another type in the config, or compile mmcv for the installed '
            'torch: pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall --no-binary onedl-mmcv '
            f'onedl-mmcv=={mmcv.__version__} (requires setuptools, ninja and a C++ compiler, and nvcc for GPUs)'
        ) from error
