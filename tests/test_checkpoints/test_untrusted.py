"""torch.save files are read as by torch.load; other files and excessive claims are rejected."""

import collections
import io
import os
import pickle
import struct
import zipfile

import pytest
import torch
from published_helpers import author_module

from mmaffinity.checkpoints.safe_pickle import ForeignObject
from mmaffinity.checkpoints.untrusted import load_untrusted_checkpoint

FORMATS = pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


def save(content, path, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def content():
    base = torch.arange(24.0).reshape(2, 3, 4)
    return {
        'tensors': [torch.arange(5).to(dtype) for dtype in DTYPES],
        'empty': torch.empty(0, 3),
        'scalar': torch.tensor(7),
        'views': [base, base.transpose(0, 2), base[1:, ::2], base[0, 0, 0]],
        'size': torch.Size([2, 3]),
        'parameter': torch.nn.Parameter(torch.ones(2)),
        'state': torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm2d(3)).state_dict(),
        'plain': {'epoch': '99', 'lrate': 1e-5, 'list': [1, None, True, ('a', 2)]},
    }


def assert_same(a, b):
    if isinstance(b, torch.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and torch.equal(a, b)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for key in b:
            assert_same(a[key], b[key])
    elif isinstance(b, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@FORMATS
def test_result_equals_that_of_torch_load(zipped, tmp_path):
    path = save(content(), tmp_path / 'a.pth', zipped)
    loaded = load_untrusted_checkpoint(path)
    assert_same(loaded, torch.load(path, weights_only=True))
    assert loaded['state']._metadata['1']['version'] == 2
    loaded['views'][0][0, 0, 0] = 100.0  # views share their memory, as after torch.load
    assert loaded['views'][3] == 100.0


@FORMATS
def test_foreign_network_classes_are_data(zipped, tmp_path, monkeypatch):
    # The legacy format stores the source of a network class with its name.
    generator = author_module(monkeypatch)()
    generator.sizes = ((2, 4),)
    path = save({'a': generator, 'w': torch.ones(3)}, tmp_path / 'a.pth', zipped)
    loaded = load_untrusted_checkpoint(path)
    assert isinstance(loaded['a'], ForeignObject) and loaded['a'].full_name == 'models.affinity.rpn.AnchorGenerator'
    assert loaded['a'].state['sizes'] == ((2, 4),) and torch.equal(loaded['w'], torch.ones(3))


class Payload:
    def __reduce__(self):
        return os.system, ('touch it_ran',)


@FORMATS
@pytest.mark.parametrize('place', ['value', 'key', 'state', 'alone'])
def test_calls_are_not_run_and_are_named(zipped, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = author_module(monkeypatch)()
    generator.sizes = Payload()
    bad = {'value': {'a': Payload()}, 'key': {(1, Payload()): 1}, 'state': {'a': generator}, 'alone': Payload()}[place]
    path = save(bad, tmp_path / 'a.pth', zipped)
    with pytest.raises(ValueError, match=rf'a\.pth was not loaded: refused {os.name}\.system'):
        load_untrusted_checkpoint(path)
    assert not (tmp_path / 'it_ran').exists()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize('part', range(5))
def test_every_pickle_of_the_old_format_is_guarded(part, tmp_path):
    pickles = [pickle.dumps(obj, 2) for obj in (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True}, {}, [])]
    pickles[part] = pickle.dumps(Payload(), 2)
    (tmp_path / 'a.pth').write_bytes(b''.join(pickles))
    with pytest.raises(ValueError, match=rf'refused {os.name}\.system'):
        load_untrusted_checkpoint(tmp_path / 'a.pth')


def rewrite(path, target, change):
    """Copy a zip, with entries changed by a function of name and bytes."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, 'w') as out:
        for name in source.namelist():
            changed = change(name.split('/', 1)[1], source.read(name))
            if changed is not None:
                out.writestr(name, changed)
    return target


def test_storage_larger_than_the_file_is_rejected(tmp_path):
    path = save({'a': torch.zeros(300), 'b': torch.zeros(2000)}, tmp_path / 'a.pth')
    # 300 elements as BININT2: once of the storage, once as size of the tensor.
    more = rewrite(path, tmp_path / 'more.pth', lambda name, data: data.replace(b'M\x2c\x01', b'M\x2d\x01'))
    with pytest.raises(ValueError, match='claims 301 elements, but has 1200 bytes'):
        load_untrusted_checkpoint(more)
    huge = rewrite(path, tmp_path / 'huge.pth', lambda name, data: data.replace(b'M\x2c\x01', b'J\xff\xff\xff\x7f'))
    with pytest.raises(ValueError, match='claims 2147483647 elements, more than the file has'):
        load_untrusted_checkpoint(huge)
    short = rewrite(path, tmp_path / 'short.pth', lambda name, data: data[:8] if name == 'data/0' else data)
    with pytest.raises(ValueError, match='has 8 bytes'):
        load_untrusted_checkpoint(short)
    lost = rewrite(path, tmp_path / 'lost.pth', lambda name, data: None if name == 'data/0' else data)
    with pytest.raises(ValueError, match='lacks'):
        load_untrusted_checkpoint(lost)


def test_oversized_claim_in_a_legacy_file_is_rejected(tmp_path):
    data = save({'a': torch.zeros(300)}, tmp_path / 'a.pth', zipped=False).read_bytes()
    for claim, message in (
        (b'J\xff\xff\xff\x7f', 'more than the file has'),
        (b'M\x2d\x01', 'the length of its tensors|beyond'),
    ):
        (tmp_path / 'b.pth').write_bytes(data.replace(b'M\x2c\x01', claim))
        with pytest.raises(ValueError, match=message):
            load_untrusted_checkpoint(tmp_path / 'b.pth')
    many = [torch.zeros(300) for _ in range(3)]
    data = save(many, tmp_path / 'c.pth', zipped=False).read_bytes()
    (tmp_path / 'c.pth').write_bytes(data[:-2000])
    with pytest.raises(ValueError, match='truncated|claim more bytes'):
        load_untrusted_checkpoint(tmp_path / 'c.pth')


@FORMATS
def test_expanded_view_is_rejected(zipped, tmp_path):
    path = save({'a': torch.zeros(1).expand(1 << 40)}, tmp_path / 'a.pth', zipped)
    with pytest.raises(ValueError, match='a tensor claims 1099511627776 elements'):
        load_untrusted_checkpoint(path)


def test_tensor_beyond_its_storage_is_rejected(tmp_path):
    path = save({'a': torch.zeros(300).reshape(150, 2)}, tmp_path / 'a.pth')
    beyond = rewrite(path, tmp_path / 'b.pth', lambda name, data: data.replace(b'K\x96K\x02', b'K\x97K\x02'))
    with pytest.raises(ValueError, match='extends beyond its storage'):
        load_untrusted_checkpoint(beyond)


def test_compressed_and_duplicate_entries_are_rejected(tmp_path):
    path = save({'a': torch.zeros(1 << 16)}, tmp_path / 'a.pth')
    bomb = tmp_path / 'bomb.pth'
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            out.writestr(name, source.read(name))
    with pytest.raises(ValueError, match='compressed'):
        load_untrusted_checkpoint(bomb)
    with zipfile.ZipFile(path, 'a') as out, pytest.warns(UserWarning, match='Duplicate'):
        out.writestr('a/data.pkl', pickle.dumps(Payload(), 2))
    with pytest.raises(ValueError, match='twice'):
        load_untrusted_checkpoint(path)


def test_overlapping_entries_are_rejected(tmp_path):
    # A zip directory whose entries all point to the same storage: small file, large sum.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as out:
        out.writestr('a/data.pkl', pickle.dumps({}, 2))
        out.writestr('a/data/0', bytes(5000))
        entry = out.getinfo('a/data/0')
        for i in range(1, 6):
            twin = zipfile.ZipInfo(f'a/data/{i}')
            for name in ('header_offset', 'file_size', 'compress_size', 'CRC'):
                setattr(twin, name, getattr(entry, name))
            out.filelist.append(twin)
            out.NameToInfo[twin.filename] = twin
    (tmp_path / 'a.pth').write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match='claim more bytes|verlap'):
        load_untrusted_checkpoint(tmp_path / 'a.pth')


@FORMATS
def test_every_truncated_file_is_rejected(zipped, tmp_path):
    data = save({'a': torch.zeros(50), 'b': torch.ones(20)}, tmp_path / 'a.pth', zipped).read_bytes()
    for end in [*range(0, len(data), 97), len(data) - 1]:
        (tmp_path / 'b.pth').write_bytes(data[:end])
        with pytest.raises(ValueError, match='b.pth'):
            load_untrusted_checkpoint(tmp_path / 'b.pth')


def test_flipped_bit_in_the_weights_is_detected(tmp_path):
    path = save({'a': torch.ones(5000)}, tmp_path / 'a.pth')
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack('<f', 1.0) * 100) + 200
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged at 'data/0'"):
        load_untrusted_checkpoint(path)


@pytest.mark.parametrize(
    'start, message',
    [
        (b'', 'not a torch.save checkpoint'),
        (b'<!DOCTYPE html><html>', 'web page'),
        (b'\n <html>', 'web page'),
        (b'version https://git-lfs.github.com/spec/v1', 'Git LFS'),
        (b'\x1f\x8b\x08', 'gzip'),
        (b'hello', 'not a torch.save checkpoint'),
        (pickle.dumps({'a': 1}, 2), 'not a torch.save checkpoint'),
        (b'PK\x03\x04', 'truncated or damaged'),
        (bytes(1000), 'not a torch.save checkpoint'),
    ],
)
def test_other_files_are_rejected_with_their_type(start, message, tmp_path):
    (tmp_path / 'a.pth').write_bytes(start)
    with pytest.raises(ValueError, match=message):
        load_untrusted_checkpoint(tmp_path / 'a.pth')


def test_other_zips_and_torchscript_are_rejected(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as out:
        out.writestr('readme.txt', 'hello')
    with pytest.raises(ValueError, match='not from torch.save'):
        load_untrusted_checkpoint(tmp_path / 'a.zip')
    with zipfile.ZipFile(tmp_path / 'b.zip', 'w') as out:
        out.writestr('b/data.pkl', pickle.dumps({}, 2))
        out.writestr('b/constants.pkl', pickle.dumps((), 2))
    with pytest.raises(ValueError, match='TorchScript'):
        load_untrusted_checkpoint(tmp_path / 'b.zip')


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='checkpoint .*none.pth does not exist'):
        load_untrusted_checkpoint(tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError):
        load_untrusted_checkpoint(tmp_path)


def test_ordered_dicts_stay_ordered(tmp_path):
    weights = collections.OrderedDict((name, torch.ones(1)) for name in 'zya')
    loaded = load_untrusted_checkpoint(save(weights, tmp_path / 'a.pth'))
    assert isinstance(loaded, collections.OrderedDict) and list(loaded) == ['z', 'y', 'a']


class Stub:
    """Stand-in for the author's class in torch's reader."""

    def __setstate__(self, state):
        self.state = state


def test_why_torch_alone_is_not_enough(tmp_path, monkeypatch):
    """If this fails, torch can do what our reader is for: remove the reader."""

    def read_by_torch(path):
        with torch.serialization.safe_globals([(Stub, 'models.affinity.rpn.AnchorGenerator')]):
            return torch.load(path, weights_only=True)

    generator = author_module(monkeypatch)()
    path = save({'a': generator}, tmp_path / 'new.pth')
    assert isinstance(read_by_torch(path)['a'], Stub)
    with pytest.raises(pickle.UnpicklingError, match='Only persistent_load of storage is allowed'):
        read_by_torch(save({'a': generator}, tmp_path / 'old.pth', zipped=False))

    data = bytearray(save({'a': torch.ones(5000)}, tmp_path / 'bit.pth').read_bytes())
    data[data.index(struct.pack('<f', 1.0) * 100) + 200] ^= 1
    (tmp_path / 'bit.pth').write_bytes(data)
    assert not torch.equal(read_by_torch(tmp_path / 'bit.pth')['a'], torch.ones(5000))

    assert read_by_torch(save({'a': torch.zeros(1).expand(1 << 40)}, tmp_path / 'view.pth'))['a'].numel() == 1 << 40
