"""Protocol buffers read field by field: against an encoder, against onnx's own messages, and damaged ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaffinity.runtime.protobuf import BYTES, FIXED32, FIXED64, VARINT, fields, integers, message, text

NUMBERS = st.integers(0, 2**64 - 1)
FIELDS = st.one_of(
    st.tuples(st.just(VARINT), NUMBERS),
    st.tuples(st.just(BYTES), st.binary(max_size=300)),
    st.tuples(st.just(FIXED32), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(FIXED64), st.binary(min_size=8, max_size=8)),
)


def varint(number):
    """Seven bits per byte, the lowest first; the eighth bit says that more follow."""
    found = bytearray()
    while number > 127:
        found.append(number % 128 + 128)
        number //= 128
    return bytes([*found, number])


def encoded(number, kind, value):
    key = varint(number * 8 + kind)
    if kind == VARINT:
        return key + varint(value)
    return key + (varint(len(value)) if kind == BYTES else b'') + value


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), FIELDS), max_size=8))
def test_fields_of_all_types_are_read_in_order(content):
    raw = b''.join(encoded(number, kind, value) for number, (kind, value) in content)
    found = [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(raw))]
    assert found == [(number, value) for number, (_, value) in content]


@given(st.lists(NUMBERS, max_size=8))
def test_integers_are_read_packed_or_one_at_a_time(numbers):
    assert integers(memoryview(b''.join(map(varint, numbers)))) == numbers
    assert [integers(number) for number in numbers] == [[number] for number in numbers]


def test_messages_of_onnx_are_read():
    onnx = pytest.importorskip('onnx')
    tensor = onnx.TensorProto(name='Gewicht ü', dims=[1, 300, 2**40], data_type=1, raw_data=b'\0\1\2\3')
    node = onnx.NodeProto(op_type='Constant', attribute=[onnx.AttributeProto(name='value', f=0.5, t=tensor)])
    names = {field.number: field.name for field in onnx.TensorProto.DESCRIPTOR.fields}
    attribute = dict(fields(memoryview(node.SerializeToString())))[5]
    inner = dict(fields(message(attribute)))[5]
    found = {}
    for number, value in fields(message(inner)):
        found.setdefault(names[number], []).append(value)
    assert text(found['name'][0]) == 'Gewicht ü' and found['data_type'] == [1] and found['raw_data'] == [b'\0\1\2\3']
    assert [dim for value in found['dims'] for dim in integers(value)] == [1, 300, 2**40]


@pytest.mark.parametrize(
    'raw, words',
    [
        (b'\x08', 'a number does not end'),
        (b'\x08\x80\x80', 'a number does not end'),
        (b'\x08' + b'\xff' * 10 + b'\x01', 'a number does not end'),
        (b'\x80', 'a number does not end'),
        (b'\x12\x05abcd', 'a field is longer than the file'),
        (b'\x12' + varint(2**63), 'a field is longer than the file'),
        (b'\x15abc', 'a field is longer than the file'),
        (b'\x11abcdefg', 'a field is longer than the file'),
        (b'\x0b', 'unknown field type at byte 1'),
        (b'\x08\x01\x0f', 'unknown field type at byte 3'),
    ],
)
def test_damaged_messages_are_rejected(raw, words):
    with pytest.raises(ValueError, match=f'^is damaged.*{words}'):
        list(fields(memoryview(raw)))


def test_fields_before_the_damage_are_read():
    found = fields(memoryview(b'\x08\x07\x12\x09abc'))
    assert next(found) == (1, 7)
    with pytest.raises(ValueError, match='longer than the file'):
        next(found)


def test_fields_of_another_type_are_rejected():
    with pytest.raises(ValueError, match='a number in place of text'):
        text(3)
    with pytest.raises(ValueError, match='text that is not UTF-8'):
        text(memoryview(b'\xff\xfe'))
    with pytest.raises(ValueError, match='a number in place of a message'):
        message(3)
    with pytest.raises(ValueError, match='a number does not end'):
        integers(memoryview(b'\x01\x80'))
