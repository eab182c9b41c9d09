"""Untrusted ONNX graphs: anything the exporter does not write is rejected before a runtime opens it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaffinity.runtime import read_model_file
from mmaffinity.runtime.graph_check import inspect

onnx = pytest.importorskip('onnx')


def external(model, location='../../secret'):
    tensor = model.graph.initializer[0]
    tensor.ClearField('raw_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=location)


def external_in_attribute(model):
    node = model.graph.node.add(op_type='Constant', output=['x'])
    tensor = onnx.TensorProto(dims=[1], data_type=1)
    tensor.external_data.add(key='location', value='/etc/passwd')
    node.attribute.append(onnx.helper.make_attribute('value', tensor))


def with_subgraph(model):
    node = model.graph.node.add(op_type='Add', output=['x'])
    node.attribute.append(onnx.helper.make_attribute('body', onnx.GraphProto()))


def sparse(model):
    model.graph.sparse_initializer.add(dims=[2])


def huge(model):
    model.graph.initializer.add(name='huge', dims=[2**31, 2**31], data_type=1)


def many_dimensions(model):
    model.graph.initializer.add(name='deep', dims=[2**62] * 200_000, data_type=1)


def two_graphs(model):
    return model.SerializeToString() + onnx.ModelProto(graph=onnx.GraphProto(name='second')).SerializeToString()


KINDS = {
    'external data': (external, 'another file'),
    'external data in an attribute': (external_in_attribute, 'another file'),
    'custom domain': (lambda m: m.opset_import.add(domain='com.evil', version=1), 'com.evil'),
    'custom operator': (lambda m: m.graph.node.add(op_type='Run', domain='com.evil'), 'com.evil.Run'),
    'unknown operator': (lambda m: m.graph.node.add(op_type='If'), 'operator If'),
    'graph in an operator': (with_subgraph, 'graph'),
    'function': (lambda m: m.functions.add(name='f', domain='x'), 'functions'),
    'training graph': (lambda m: m.training_info.add(), 'training graph'),
    'sparse weights': (sparse, 'sparse'),
    'huge tensor': (huge, 'elements'),
    'many dimensions': (many_dimensions, 'a tensor of 200000 dimensions; at most 16 are allowed'),
    'two graphs': (two_graphs, 'two graphs'),
}


def test_structure_is_read():
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    values = [helper.make_tensor_value_info(name, kind, shape) for name, shape in (('x', ['n', 1, 8, 9]), ('y', ['n']))]
    graph = helper.make_graph([helper.make_node('ReduceMax', ['x'], ['y'])], 'g', values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
    helper.set_model_props(model, {'a': '1', 'b': ''})
    found = inspect(model.SerializeToString())
    assert found.inputs == {'x': (None, 1, 8, 9)} and found.metadata == {'a': '1', 'b': ''}
    assert not found.quantized and bytes(found.graph) == graph.SerializeToString()
    graph.node.append(helper.make_node('QuantizeLinear', ['x', 's'], ['q']))
    assert inspect(helper.make_model(graph).SerializeToString()).quantized
    with pytest.raises(ValueError, match='contains no graph'):
        inspect(onnx.ModelProto(ir_version=10).SerializeToString())


@pytest.mark.parametrize('kind', KINDS)
def test_content_the_exporter_does_not_write_is_rejected(kind, check_rejected):
    check_rejected(*KINDS[kind])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda m: m.graph.node.add(op_type='QLinearConv', domain='com.microsoft'), 'com.microsoft.QLinearConv'),
        (lambda m: m.graph.node.add(op_type='ConvInteger'), 'operator ConvInteger'),
        (lambda m: m.opset_import.add(domain='com.microsoft', version=1), 'com.microsoft'),
        (external, 'another file'),
    ],
)
def test_content_the_quantiser_does_not_write_is_rejected(change, message, exported_int8, tmp_path):
    model = onnx.load(exported_int8)
    change(model)
    (tmp_path / 'evil.onnx').write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=f'evil.onnx .*{message}'):
        read_model_file(tmp_path / 'evil.onnx')


@pytest.mark.parametrize('versions', [b'', b'\x11\x12'])
def test_operator_set_without_a_single_version_is_rejected(versions):
    with pytest.raises(ValueError, match=f'is damaged: {len(versions)} versions of the standard operators'):
        inspect(b'\x42' + bytes([2 + len(versions)]) + b'\x12' + bytes([len(versions)]) + versions)


@settings(max_examples=150)
@given(st.data())
def test_damaged_files_are_read_or_rejected(exported, data):
    content = bytearray(exported[2].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        inspect(bytes(content))
    except ValueError:
        pass
