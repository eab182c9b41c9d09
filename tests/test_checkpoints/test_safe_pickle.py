"""Pickles written by Python are read as the same data, and nothing in a pickle is run."""

import collections
import copyreg
import io
import os
import pickle
import subprocess
import sys
import types

import pytest

from mmaffinity.checkpoints.safe_pickle import ForeignGlobal, ForeignObject, PickleReader, RefusedPickleError

DATA = {
    'text': 'Lunge äß',
    'bytes': b'\0\xff' * 200,
    'numbers': [0, 1, -1, 255, 256, 70000, 2**40, -(2**70), 1e-5, True, None],
    'nested': ({'a': (1,), ('b', 2): [[], {}, ()]}, (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    'ordered': collections.OrderedDict([('x', 1), ('y', [2])]),
    'long': list(range(3000)),
    'set': {1, 'two'},
}


def read(data: bytes, **kwargs):
    return PickleReader(**kwargs).load(io.BytesIO(data))


@pytest.mark.parametrize('protocol', range(6))
def test_plain_data_round_trips(protocol):
    data = {key: value for key, value in DATA.items() if protocol >= 3 or key != 'bytes'}
    assert read(pickle.dumps(data, protocol)) == data


def test_shared_parts_stay_shared():
    part = [1]
    first, second = read(pickle.dumps([part, part], 2))
    assert first is second


@pytest.fixture
def stranger(monkeypatch):
    """A class in a module that the reader cannot import, and that fails if it is used."""
    module = types.ModuleType('stranger')

    class Thing:
        def __init__(self):
            self.sizes = ((2, 4),)

        def __setstate__(self, state):
            raise AssertionError('it ran')

    Thing.__module__, Thing.__qualname__ = 'stranger', 'Thing'
    module.Thing = Thing
    monkeypatch.setitem(sys.modules, 'stranger', module)
    return Thing


@pytest.mark.parametrize('protocol', range(6))
def test_a_foreign_object_keeps_its_state_as_data(stranger, protocol):
    thing = read(pickle.dumps({'thing': stranger()}, protocol))['thing']
    assert isinstance(thing, ForeignObject) and thing.full_name == 'stranger.Thing'
    assert thing.state == {'sizes': ((2, 4),)}


def test_a_foreign_class_alone_is_a_name(stranger):
    assert read(pickle.dumps(stranger, 2)) == ForeignGlobal('stranger', 'Thing')


def reduced(function, *arguments):
    """An object whose pickle calls a function."""
    return type('Payload', (), {'__reduce__': lambda self: (function, arguments)})()


def text(*lines: str) -> bytes:
    return '\n'.join(lines).encode()


MALICIOUS = {
    'os.system': (pickle.dumps(reduced(os.system, 'touch {mark}'), 0), 'system'),
    'subprocess': (pickle.dumps(reduced(subprocess.Popen, 'touch {mark}', -1), 2), 'subprocess.Popen'),
    'eval': (pickle.dumps(reduced(eval, 'open("{mark}", "w")'), 4), 'builtins.eval'),
    'getattr chain': (b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch {mark}\x85R.', 'os.system'),
    'dotted name': (b'\x80\x04\x8c\x08builtins\x8c\x0edict.__class__\x93.', 'dict.__class__'),
    'getattr': (b'\x80\x02c__builtin__\ngetattr\ncos\nsystem\n', 'builtins.getattr'),
    'name of Python 2': (b'\x80\x02ccommands\ngetoutput\n.', 'subprocess.getoutput'),
    'import': (b'\x80\x02c__builtin__\n__import__\nX\x02\0\0\0os\x85R.', 'builtins.__import__'),
    'inst': (text('(S"touch {mark}"', 'ios', 'system', '.'), 'INST'),
    'obj': (b'(cstranger\nThing\nX\x01\0\0\0xo.', 'OBJ'),
    'call of a stranger': (b'\x80\x02cstranger\nrun\n)R.', 'stranger.run'),
    'stranger with arguments': (b'\x80\x02cstranger\nThing\nK\x01\x85\x81.', 'stranger.Thing'),
    'new Popen': (b'\x80\x02csubprocess\nPopen\n)\x81}X\x04\0\0\0argsX\x02\0\0\0lssb.', 'subprocess.Popen'),
    'torch.load': (b'\x80\x02ctorch\nload\nX\x04\0\0\0a.pt\x85R.', 'torch.load'),
    'torch.hub.load': (b'\x80\x02ctorch.hub\nload\n.', 'torch.hub.load'),
    'torch internals': (b'\x80\x02ctorch._utils\n_rebuild_device_tensor_from_numpy\n.', '_rebuild_device_tensor'),
    'numpy': (b'\x80\x02cnumpy\nload\n.', 'numpy.load'),
    'code object': (b'\x80\x02ctypes\nCodeType\n.', 'types.CodeType'),
    'reconstructor of the known': (
        b'\x80\x02ccopy_reg\n_reconstructor\nccollections\nOrderedDict\nc__builtin__\nobject\nN\x87R.',
        'copyreg._reconstructor',
    ),
    'reconstructor with a state': (
        b'\x80\x02ccopy_reg\n_reconstructor\ncstranger\nThing\nc__builtin__\nobject\nK\x01\x87R.',
        'copyreg._reconstructor',
    ),
    'copyreg extension': (b'\x80\x02\x82\x01.', 'EXT1'),
    'set the state of a function': (b'\x80\x02ccollections\nOrderedDict\n}X\x01\0\0\0aK\x01sb.', 'OrderedDict'),
    'fill a stranger': (b'\x80\x02cstranger\nThing\n)\x81(K\x01K\x02u.', 'stranger.Thing'),
    'append to a stranger': (b'\x80\x02cstranger\nThing\n)\x81K\x01a.', 'stranger.Thing'),
    'persistent id': (b'\x80\x02K\x01Q.', 'persistent id'),
    'text persistent id': (b'P1\n.', 'PERSID'),
    'name with a line break': (b'\x80\x04\x8c\x05a\nb\x1b[\x8c\x01c\x93.', r'a\\nb\\x1b'),
    'name of no text': (b'\x80\x04K\x01\x8c\x01c\x93.', 'not text'),
    'placeholder as key': (b'\x80\x02}cstranger\nThing\nK\x01s.', 'key'),
    'deep key': (b'\x80\x02})' + b'\x85' * 50000 + b'K\x01s.', 'key'),
    'copies': (b'\x80\x02](' + b'K\x01' * 60000 + b'eq\1' + b'c__builtin__\nset\nh\1\x85R0' * 10 + b'.', 'over and over'),
}


@pytest.mark.parametrize('name', MALICIOUS)
def test_calls_are_rejected_by_name(name, tmp_path, monkeypatch):
    data, refused = MALICIOUS[name]
    mark = tmp_path / 'mark'
    for module in ('os', 'subprocess'):
        monkeypatch.setattr(f'{module}.{"system" if module == "os" else "Popen"}', lambda *_, **__: mark.touch())
    with pytest.raises(RefusedPickleError, match=refused):
        read(data.replace(b'{mark}', b'mark!!'))
    assert not mark.exists()


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'.',
        b'hello',
        b'\x80\x02K\x01',
        b'\x80\x02h\x05.',
        b'\x80\x02(.',
        b'\x80\x02\x85.',
        b'\x80\x02R.',
        b'\x80\x02]u.',
        b'\x80\x02B\xff\xff\xff\x7fabc.',
        b'\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.',
        b'\x80\x02X\x02\0\0\0\xff\xfe.',
        b'\x80\x02}(K\x01u.',
        b'\x80\x02}]K\x01s.',
        b'I' + b'9' * 9000 + b'\n.',
    ],
)
def test_damaged_pickle_raises_our_error(data):
    with pytest.raises(RefusedPickleError, match='damaged|refused'):
        read(data)


def test_every_truncated_pickle_raises_our_error(stranger):
    data = pickle.dumps([DATA, stranger()], 4)[-2500:]
    whole = pickle.dumps([{'a': 1.5, 'b': [(), ('x',)]}, stranger()], 2)
    for end in range(len(whole)):
        with pytest.raises(RefusedPickleError):
            read(whole[:end])
    with pytest.raises(RefusedPickleError):
        read(data)


def test_random_bytes_raise_only_our_error():
    import random

    rng = random.Random(0)
    whole = pickle.dumps(DATA, 2)[:400] + pickle.dumps([copyreg.__name__, DATA['nested']], 2)
    refused = 0
    for _ in range(3000):
        mutant = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        try:
            read(bytes(mutant))
        except RefusedPickleError:
            refused += 1
    assert 1000 < refused < 3000  # most mutants are damaged, some differ in a value only
