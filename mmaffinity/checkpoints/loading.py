"""Load checkpoints without executing their content."""

import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from mmaffinity.utils.files import sha256_of
from mmaffinity.utils.optional import require
from mmaffinity.utils.provenance import SYNTHETIC
from mmaffinity.utils.shared_config import read_description

SAFE_TORCH = (2, 10)  # the first release without a known vulnerability in weights-only loading
TRUST_VARIABLE = 'MMAFFINITY_TRUST_PTH'
PLAIN_DTYPES = ('b1', 'u1', 'i4', 'i8', 'u4', 'u8', 'f4', 'f8')  # in NumPy's pickle notation; used in log histories


def _history_method(owner: Any, name: str) -> Any:
    """Replace getattr in MMEngine's checkpoints, whose log buffers store their own methods by name."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'mean', 'current'):
        raise pickle.UnpicklingError(f'refused: getattr({owner!r}, {name!r})')
    return getattr(owner, name)


class _StoredDtype:
    """Replacement for numpy.dtype in a file: only plain numbers, with the state that NumPy writes for them.

    NumPy's dtype accepts any state, for example object fields over raw bytes, which it then dereferences as pointers.
    """

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        if name not in PLAIN_DTYPES:
            raise pickle.UnpicklingError(f'refused: numpy.dtype({name!r})')
        self.dtype = np.dtype(name).newbyteorder('<')

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or state[:2] not in ((3, '<'), (3, '|')) or state[2:] != (None, None, None, -1, -1, 0):
            raise pickle.UnpicklingError(f'refused: numpy.dtype with the state {state!r:.80}')


class _StoredArray:
    """Replacement for numpy.ndarray in a file, which would dereference bytes as pointers if given an object dtype."""

    array: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _StoredDtype) or not isinstance(data, bytes):
            raise pickle.UnpicklingError('refused: numpy.ndarray of anything but plain numbers')
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order='F' if fortran else 'C').copy()


def _stored_array(*_: Any) -> _StoredArray:
    """Replace NumPy's _reconstruct, whatever its arguments."""
    return _StoredArray()


def _stored_scalar(dtype: Any, data: Any) -> Any:
    """Replace NumPy's scalar."""
    if not isinstance(dtype, _StoredDtype) or not isinstance(data, bytes) or len(data) != dtype.dtype.itemsize:
        raise pickle.UnpicklingError('refused: a numpy scalar that is not a plain number')
    return np.frombuffer(data, dtype.dtype)[0]


def _allowed_globals() -> list:
    """Return the names allowed in a checkpoint; NumPy's map to the replacements above."""
    numpy_names = [(_stored_array, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')]
    numpy_names += [(_stored_scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')]
    return [
        HistoryBuffer,
        (_history_method, 'builtins.getattr'),
        (_StoredDtype, 'numpy.dtype'),
        (_StoredArray, 'numpy.ndarray'),
        *numpy_names,
    ]


def _with_arrays(value: Any, seen: set[int]) -> Any:
    """Turn replacements back into arrays in dicts, lists, tuples and log histories."""
    if isinstance(value, _StoredArray):
        return value.array
    if isinstance(value, _StoredDtype):
        return value.dtype
    if isinstance(value, tuple):
        return tuple(_with_arrays(item, seen) for item in value) if type(value) is tuple else value
    if id(value) in seen:
        return value
    if isinstance(value, (dict, HistoryBuffer)):
        seen.add(id(value))
        items = value if isinstance(value, dict) else vars(value)
        for key, item in list(items.items()):
            items[key] = _with_arrays(item, seen)
    elif isinstance(value, list):
        seen.add(id(value))
        value[:] = [_with_arrays(item, seen) for item in value]
    return value


def load_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict:
    """Load a checkpoint's tensors, plain data and MMEngine log history, but nothing that can run code.

    Args:
        path: a ``.safetensors`` file, or a ``.pth`` file written by ``torch.save``.
        map_location: device of the tensors, as in ``torch.load``.

    Returns:
        The content of the file. For a ``.safetensors`` file, 'state_dict' contains the weights, and 'meta' the content of the
        JSON next to it, if there is one.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a checkpoint, is damaged, or contains an object that only running code can restore, which the
            message names. There is no unsafe fallback. Also if it is a ``.pth`` and the installed torch cannot load such files
            safely (see :func:`check_torch`).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    if path.suffix == '.safetensors':
        return _load_safetensors(path, map_location)
    check_torch(path)
    try:
        with torch.serialization.safe_globals(_allowed_globals()):
            content = _with_arrays(torch.load(path, map_location=map_location, weights_only=True), set())
    except pickle.UnpicklingError as error:
        raise ValueError(f'{path} was not loaded: it contains more than weights and plain data: {_reason(error)}') from error
    except MemoryError:
        raise
    except Exception as error:  # a malformed file can cause any error in a reader that expects a valid one
        raise ValueError(
            f'{path} is not a checkpoint or is damaged ({type(error).__name__}: {error}); copy or download it again'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} is not a checkpoint: it contains a {type(content).__name__} instead of a dict')
    return content


def _reason(error: pickle.UnpicklingError) -> str:
    """Return what torch rejected, without its advice to load the file unsafely."""
    lines = [line.strip() for line in str(error).splitlines()]
    advice = ('weights_only', 'torch.load', 'pytorch.org', 'add_safe_globals')
    kept = ' '.join(line for line in lines if line and not any(word in line for word in advice))
    # If the name shares a line with the advice, keep only the name.
    named = re.search(r'(?:GLOBAL|BUILD|instance of|type)\s+([\w.]+\.[\w.]+)', str(error))
    return kept or (f'an object of {named.group(1)}' if named else 'an unknown object')


def check_torch(path: str | Path) -> None:
    """Reject ``torch.save`` files if weights-only loading in the installed torch can be tricked into running code.

    Raises:
        ValueError: with torch before 2.10, unless MMAFFINITY_TRUST_PTH is 1.
    """
    numbers = re.match(r'(\d+)\.(\d+)', torch.__version__)
    version = tuple(int(number) for number in numbers.groups()) if numbers else (0, 0)
    if version < SAFE_TORCH and os.environ.get(TRUST_VARIABLE) != '1':
        raise ValueError(
            f'{path} was not loaded: a crafted .pth can make torch {torch.__version__} execute code even in weights-only '
            'loading (CVE-2025-32434 before torch 2.6, CVE-2026-24747 before 2.10). Install torch 2.10 or later, or '
            'use the weights as .safetensors, which cannot contain code; for files that you wrote yourself, set '
            f'{TRUST_VARIABLE}=1'
        )


def _load_safetensors(path: Path, map_location: Any) -> dict:
    """Load weights from a ``.safetensors`` file, which cannot contain anything else.

    A JSON of the same name next to it, from ``mmaffinity export safetensors``, provides the class names and is checked against
    the weights. If ``map_location`` is a function, which ``torch.load`` also accepts, the weights are on the CPU.
    """
    safetensors = require('safetensors.torch', 'safetensors')
    device = str(map_location) if isinstance(map_location, (str, torch.device)) else 'cpu'
    try:
        weights = safetensors.load_file(path, device=device)
    except MemoryError:
        raise
    except Exception as error:  # SafetensorError is not a ValueError, and truncated files raise other errors
        raise ValueError(
            f'{path} is not a .safetensors file or is damaged ({type(error).__name__}: {error}); copy or download it again'
        ) from error
    return dict(meta=_described(path), state_dict=weights)


def _described(path: Path) -> dict:
    """Return the metadata in the JSON next to shared weights, after checking that it describes them."""
    description = read_description(path.with_suffix('.json'))
    if description is None:
        return {}
    stated = description.get('weights')
    stated = stated.get('sha256') if isinstance(stated, dict) else None
    if stated != sha256_of(path):
        raise ValueError(
            f'{path} does not match {path.with_suffix(".json").name} next to it: the SHA-256 of the weights '
            'differs; download both again, or move the JSON elsewhere'
        )
    names = {key: description.get(key) for key in ('slice_classes', 'classes')}
    meta: dict[str, Any] = dict(
        dataset_meta={key: tuple(map(str, value)) for key, value in names.items() if isinstance(value, list)}
    )
    if description.get(SYNTHETIC) is True:
        meta[SYNTHETIC] = True
    return meta
