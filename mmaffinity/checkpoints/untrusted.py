"""Read the author's files as data, which torch's weights-only loading cannot do.

It rejects a network class in a file written before PyTorch 1.6, but accepts a flipped bit, compressed entries and a view of
terabytes, as ``test_why_torch_alone_is_not_enough`` shows.

Any other checkpoint is read by :func:`~mmaffinity.checkpoints.load_checkpoint`, which uses torch's loading.
"""

import io
import os
import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from mmaffinity.utils.wording import plural

from .safe_pickle import Constructor, ForeignGlobal, PickleReader, RefusedPickleError, describe

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
STORAGE_DTYPES = {
    'FloatStorage': torch.float32,
    'DoubleStorage': torch.float64,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}
NOT_A_CHECKPOINT = {
    b'<': 'a web page; download the file itself',
    b'version https://git-lfs': 'a Git LFS pointer; fetch the file itself with git lfs pull',
    b'\x1f\x8b': 'a gzip file; unpack it first',
}


def load_untrusted_checkpoint(path: str | Path) -> Any:
    """Read a ``torch.save`` file of any version since 0.4 without executing anything that it names.

    PyTorch's unpickler is not used, and Python's runs only the instructions that build plain data (see
    :class:`~.safe_pickle.PickleReader`). All tensors are on the CPU.

    Args:
        path: the file.

    Returns:
        The saved object: tensors, numbers, text, None and containers of these. An object of an unavailable class becomes a
        :class:`ForeignObject` with its state as data.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a checkpoint, is damaged, claims more data than it has, or would run code; the message says
            which.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    with path.open('rb') as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(512)
        file.seek(0)
        for start, what in NOT_A_CHECKPOINT.items():
            if head.lstrip().startswith(start):
                raise ValueError(f'{path} is not a checkpoint but {what}')
        try:
            return (_ZipFile if head.startswith(b'PK\x03\x04') else _LegacyFile)(file, size).load()
        except RefusedPickleError as error:
            raise ValueError(f'{path} was not loaded: {error}') from error
        except MemoryError:
            raise
        except Exception as error:  # errors of zipfile for a malformed file, such as a negative offset or a password
            raise ValueError(f'{path} was not loaded: it is damaged ({type(error).__name__}: {error})') from error


class _CheckpointFile(ABC):
    """What both formats share: tensors in a pickle."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._storages: dict[str, Tensor] = {}
        rebuilders: dict[str, Callable[..., Any]] = {
            '_rebuild_tensor': self._tensor,
            '_rebuild_tensor_v2': self._tensor,
            '_rebuild_parameter': self._parameter,
        }
        known: dict[str, Any] = {
            f'torch._utils.{name}': Constructor(f'torch._utils.{name}', build) for name, build in rebuilders.items()
        }
        known.update({f'torch.{name}': dtype for name, dtype in STORAGE_DTYPES.items()})
        known['torch.Size'] = Constructor('torch.Size', lambda sizes=(): tuple(sizes))
        self._reader = PickleReader(known, self._persistent)

    @abstractmethod
    def _persistent(self, pid: Any) -> Any:
        """Return the value of a persistent id."""

    def _parse_storage(self, pid: Any) -> tuple[str, torch.dtype, int]:
        """Return the key, data type and number of elements of a persistent id."""
        if type(pid) is not tuple or len(pid) < 5 or pid[0] != 'storage':
            raise RefusedPickleError(f'refused a persistent id of {describe(pid)}')
        _, dtype, key, _, numel = pid[:5]
        if len(pid) > 5 and pid[5] is not None:
            raise RefusedPickleError('refused a view of a storage, which PyTorch has not written since version 0.4')
        if not isinstance(dtype, torch.dtype) or type(key) is not str or type(numel) is not int or numel < 0:
            raise RefusedPickleError('damaged checkpoint: a storage lacks a type, key or length')
        if numel * dtype.itemsize > self._size:
            raise RefusedPickleError(f'storage {ascii(key)[:40]} claims {plural(numel, "element")}, more than the file has')
        return key, dtype, numel

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        numbers = (offset, *size, *stride)
        if not isinstance(storage, Tensor) or len(numbers) > 129 or any(type(n) is not int or n < 0 for n in numbers):
            raise RefusedPickleError('damaged checkpoint: a tensor lacks a storage, size or stride')
        # A stride of 0 repeats elements: the view is small, but a copy may take gigabytes.
        if prod(size) * storage.itemsize > self._size:
            raise RefusedPickleError(f'a tensor claims {plural(prod(size), "element")}, more than the file has')
        try:
            return storage.as_strided(size, stride, offset)
        except (RuntimeError, TypeError) as error:
            raise RefusedPickleError('damaged checkpoint: a tensor extends beyond its storage') from error

    @staticmethod
    def _parameter(data: Any, *_: Any) -> Tensor:
        if not isinstance(data, Tensor):
            raise RefusedPickleError('damaged checkpoint: a parameter without data')
        return data


class _ZipFile(_CheckpointFile):
    """A file of PyTorch 1.6 or later: an uncompressed zip with one pickle and a file per storage."""

    def load(self) -> Any:
        try:
            self._zip = zipfile.ZipFile(self._file)
        except zipfile.BadZipFile as error:
            raise RefusedPickleError(f'it is truncated or damaged ({error}); copy or download it again') from error
        entries = self._zip.infolist()
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise RefusedPickleError('its zip directory lists a file twice')
        # PyTorch does not compress. Compressed entries, or entries that share bytes, could expand to any size.
        packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise RefusedPickleError(f'{ascii(packed[0])[:80]} is compressed, which torch.save does not do')
        if sum(entry.file_size for entry in entries) > self._size:
            raise RefusedPickleError('its entries claim more bytes than the file has')
        pickles = [name for name in self._entries if name.count('/') == 1 and name.endswith('/data.pkl')]
        if len(pickles) != 1:
            raise RefusedPickleError('it is a zip file but not from torch.save: it does not have exactly one data.pkl')
        self._prefix = pickles[0][: -len('data.pkl')]
        if f'{self._prefix}constants.pkl' in self._entries:
            raise RefusedPickleError('it is a TorchScript program, not a checkpoint')
        if f'{self._prefix}byteorder' in self._entries and self._entry('byteorder') != b'little':
            raise RefusedPickleError('it was written on a big-endian machine; save it on a little-endian one')
        with self._zip.open(pickles[0]) as file:
            return self._reader.load(cast(BinaryIO, file))

    def _entry(self, name: str) -> bytearray:
        entry = self._entries.get(self._prefix + name)
        if entry is None:
            raise RefusedPickleError(f'damaged checkpoint: it lacks {ascii(name)[:80]}')
        try:
            content = bytearray(self._zip.read(entry))  # verifies the checksum
            if len(content) != entry.file_size:
                raise EOFError
        except (EOFError, RuntimeError, zipfile.BadZipFile) as error:
            raise RefusedPickleError(f'it is damaged at {ascii(name)[:80]}; copy or download it again') from error
        return content

    def _persistent(self, pid: Any) -> Tensor:
        key, dtype, numel = self._parse_storage(pid)
        if key not in self._storages:
            raw = self._entry(f'data/{key}')
            if numel * dtype.itemsize > len(raw):
                raise RefusedPickleError(
                    f'storage {ascii(key)[:40]} claims {plural(numel, "element")}, but has {plural(len(raw), "byte")}'
                )
            empty = torch.empty(0, dtype=dtype)
            self._storages[key] = torch.frombuffer(raw, dtype=dtype, count=numel) if numel else empty
        if self._storages[key].dtype != dtype:
            raise RefusedPickleError(f'storage {ascii(key)[:40]} has two data types')
        return self._storages[key]


class _BoundedFile:
    """A file whose ``read`` allocates no memory beyond the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.readline, self.tell = file.readline, file.tell

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))


class _LegacyFile(_CheckpointFile):
    """A file of PyTorch before 1.6: five pickles, followed by the storages."""

    def load(self) -> Any:
        file = cast(BinaryIO, _BoundedFile(self._file, self._size))
        try:
            magic = self._reader.load(file)
        except RefusedPickleError as error:
            if str(error).startswith('damaged'):
                raise RefusedPickleError('it is not a torch.save checkpoint') from error
            raise
        if magic != LEGACY_MAGIC:
            raise RefusedPickleError('it is not a torch.save checkpoint')
        protocol, system = self._reader.load(file), self._reader.load(file)
        if protocol != LEGACY_PROTOCOL or not isinstance(system, dict) or system.get('little_endian') is not True:
            raise RefusedPickleError('it was written by an unknown version of PyTorch, or on a big-endian machine')
        self._claimed = 0
        content = self._reader.load(file)
        keys = self._reader.load(file)
        if type(keys) is not list or any(type(key) is not str for key in keys) or sorted(keys) != sorted(self._storages):
            raise RefusedPickleError('damaged checkpoint: its list of storages does not match its tensors')
        for key in keys:
            self._fill(self._storages[key])
        return content

    def _persistent(self, pid: Any) -> Any:
        if type(pid) is tuple and len(pid) == 4 and pid[0] == 'module' and isinstance(pid[1], ForeignGlobal):
            return pid[1]  # a network class with its source code
        key, dtype, numel = self._parse_storage(pid)
        storage = self._storages.get(key)
        if storage is None:
            self._claimed += numel * dtype.itemsize
            if self._claimed > self._size:
                raise RefusedPickleError('its storages claim more bytes than the file has')
            storage = self._storages[key] = torch.empty(numel, dtype=dtype)
        if storage.dtype != dtype or storage.numel() != numel:
            raise RefusedPickleError(f'storage {ascii(key)[:40]} has two types or lengths')
        return storage

    def _fill(self, storage: Tensor) -> None:
        head = self._file.read(8)
        if len(head) == 8 and struct.unpack('<q', head)[0] != storage.numel():
            raise RefusedPickleError('damaged checkpoint: a storage does not have the length of its tensors')
        raw: Any = storage.view(torch.uint8).numpy() if storage.numel() else b''
        if len(head) != 8 or (len(raw) and cast(io.BufferedIOBase, self._file).readinto(memoryview(raw)) != len(raw)):
            raise RefusedPickleError('it is truncated; copy or download it again')
