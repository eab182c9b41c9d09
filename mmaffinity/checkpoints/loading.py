"""Loading checkpoints without executing their content."""

import os
import pickle
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from mmaffinity.utils.files import sha256_of
from mmaffinity.utils.optional import require
from mmaffinity.utils.shared_config import read_description

SAFE_TORCH = (2, 10)  # the first release without a known vulnerability in weights-only loading
TRUST_VARIABLE = 'MMAFFINITY_TRUST_PTH'
PLAIN_DTYPES = ('b1', 'u1', 'i4', 'i8', 'u4', 'u8', 'f4', 'f8')  # in NumPy's pickle notation; used in log histories


def _history_method(owner: Any, name: str) -> Any:
    """Replacement for getattr in MMEngine's checkpoints, whose log buffers store their own methods by name."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'mean', 'current'):
        raise pickle.UnpicklingError(f'refused: getattr({owner!r}, {name!r})')
    return getattr(owner, name)


class _StoredDtype:
    """Replacement for numpy.dtype in a file: plain numbers only, with only the state that NumPy writes for them.

    NumPy's own dtype accepts any state, for example object fields over raw bytes, which it then follows as pointers.
    """

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        if name not in PLAIN_DTYPES:
            raise pickle.UnpicklingError(f'refused: numpy.dtype({name!r})')
        self.dtype = np.dtype(name).newbyteorder('<')

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or state[:2] not in ((3, '<'), (3, '|')) or state[2:] != (None, None, None, -1, -1, 0):
            raise pickle.UnpicklingError(f'refused: numpy.dtype with the state {state!r:.80}')


class _StoredArray:
    """Replacement for numpy.ndarray in a file, which would treat bytes as pointers when called with an object type."""

    array: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _StoredDtype) or not isinstance(data, bytes):
            raise pickle.UnpicklingError('refused: numpy.ndarray of something else than plain numbers')
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order='F' if fortran else 'C').copy()


def _stored_array(*_: Any) -> _StoredArray:
    """Replacement for NumPy's _reconstruct, whatever its arguments."""
    return _StoredArray()


def _stored_scalar(dtype: Any, data: Any) -> Any:
    """Replacement for NumPy's scalar."""
    if not isinstance(dtype, _StoredDtype) or not isinstance(data, bytes) or len(data) != dtype.dtype.itemsize:
        raise pickle.UnpicklingError('refused: a numpy scalar that is not a plain number')
    return np.frombuffer(data, dtype.dtype)[0]


def _allowed_globals() -> list:
    """Names allowed in a checkpoint. None are NumPy's own: its names map to the replacements above."""
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
    """Substitute the arrays for their replacements in dicts, lists, tuples and log histories."""
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
    """Load a checkpoint: tensors, plain data and MMEngine's log history, but nothing that can run code.

    Args:
        path: a ``.safetensors`` file, or one of ``torch.save`` (``.pth``).
        map_location: device of the tensors, as in ``torch.load``.

    Returns:
        The content of the file. For a ``.safetensors`` file, the weights are under 'state_dict', and 'meta' has the content of
        the JSON next to it, if there is one.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a checkpoint, is damaged, or contains an object that can only be restored by running code; the
            message names that object. There is no unsafe fallback. Also if it is a ``.pth`` and the installed torch cannot load
            such files safely, see :func:`check_torch`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint {path}')
    if path.suffix == '.safetensors':
        return load_safetensors(path, map_location)
    check_torch(path)
    try:
        with _safe_globals():
            content = _with_arrays(torch.load(path, map_location=map_location, weights_only=True), set())
    except pickle.UnpicklingError as error:
        raise ValueError(f'{path} was not opened, as it holds more than weights and plain data: {_reason(error)}') from error
    except MemoryError:
        raise
    except Exception as error:  # a malformed file can cause any error in a reader that expects a valid one
        raise ValueError(
            f'{path} is not a checkpoint or is damaged ({type(error).__name__}: {error}); copy or download it again'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} is not a checkpoint: it holds a {type(content).__name__} instead of a dict')
    return content


def _reason(error: pickle.UnpicklingError) -> str:
    """Return what torch refused, without its advice to load the file unsafely."""
    lines = [line.strip() for line in str(error).splitlines()]
    advice = ('weights_only', 'torch.load', 'pytorch.org', 'add_safe_globals')
    kept = ' '.join(line for line in lines if line and not any(word in line for word in advice))
    # If the name is on one line with the advice, keep only the name.
    named = re.search(r'(?:GLOBAL|BUILD|instance of|type)\s+([\w.]+\.[\w.]+)', str(error))
    return kept or (f'an object of {named.group(1)}' if named else 'an unknown object')


def check_torch(path: str | Path) -> None:
    """Refuse ``torch.save`` files if the installed torch can be made to run code in weights-only loading.

    Raises:
        ValueError: with torch before 2.10, unless MMAFFINITY_TRUST_PTH is 1.
    """
    numbers = re.match(r'(\d+)\.(\d+)', torch.__version__)
    version = tuple(int(number) for number in numbers.groups()) if numbers else (0, 0)
    if version < SAFE_TORCH and os.environ.get(TRUST_VARIABLE) != '1':
        raise ValueError(
            f'{path} was not opened: a crafted .pth can make torch {torch.__version__} execute code even when only weights '
            'are asked for (CVE-2025-32434 before torch 2.6, CVE-2026-24747 before 2.10). Install torch 2.10 or later, or '
            'take the weights as .safetensors, which holds no code; for files that you wrote yourself, set '
            f'{TRUST_VARIABLE}=1'
        )


def _safe_globals() -> AbstractContextManager:
    names = getattr(torch.serialization, 'safe_globals', None)  # torch 2.5 and later
    return names(_allowed_globals()) if names else nullcontext()


def load_safetensors(path: str | Path, map_location: Any = 'cpu') -> dict:
    """Load weights from a ``.safetensors`` file, which cannot contain anything else.

    Args:
        path: the file. A JSON of the same name next to it, from ``mmaffinity export safetensors``, is checked against it
            and provides the class names.
        map_location: device of the tensors; a function, which ``torch.load`` also accepts, means the CPU.

    Returns:
        A checkpoint: 'state_dict' and 'meta'.

    Raises:
        ValueError: if the package safetensors is missing, the file is damaged, or the JSON next to it belongs to other
            weights.
    """
    path = Path(path)
    safetensors = require('safetensors.torch', 'safetensors')
    device = str(map_location) if isinstance(map_location, (str, torch.device)) else 'cpu'
    try:
        weights = safetensors.load_file(path, device=device)
    except MemoryError:
        raise
    except Exception as error:  # SafetensorError is not a ValueError, and truncated files raise others
        raise ValueError(
            f'{path} is not a .safetensors file or is damaged ({type(error).__name__}: {error}); copy or download it again'
        ) from error
    return dict(meta=_described(path), state_dict=weights)


def _described(path: Path) -> dict:
    """Return the metadata from the JSON next to shared weights, after checking it against the weights."""
    description = read_description(path.with_suffix('.json'))
    if description is None:
        return {}
    stated = description.get('weights')
    stated = stated.get('sha256') if isinstance(stated, dict) else None
    if stated != sha256_of(path):
        raise ValueError(
            f'{path} are not the weights that {path.with_suffix(".json").name} beside it describes: the SHA-256 '
            'differs; download both again, or move the JSON away'
        )
    names = {key: description.get(key) for key in ('slice_classes', 'classes')}
    return dict(dataset_meta={key: tuple(map(str, value)) for key, value in names.items() if isinstance(value, list)})
