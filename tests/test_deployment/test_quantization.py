"""Quantised models: only the intended convolutions have integer weights, within half a step of the float ones."""

import numpy as np
import pytest
from scan_helpers import chest, to_grey

from mmaffinity.deployment.quantization import PARTS
from mmaffinity.runtime import BACKENDS
from mmaffinity.runtime.graph_check import OPERATORS

onnx = pytest.importorskip('onnx')


@pytest.fixture(scope='module')
def models(exported, exported_int8):
    return onnx.load(exported[2]), onnx.load(exported_int8)


def arrays(model):
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_only_convolutions_of_the_named_parts_are_quantised(models):
    plain, quantised = models
    names = [node.input[1] for node in plain.graph.node if node.op_type == 'Conv']
    meant = {name for name in names if name.startswith(PARTS)}
    assert {'backbone', 'neck', 'rpn'} < {name.partition('.')[0] for name in meant} and meant < set(names)
    made = {output: node for node in quantised.graph.node for output in node.output}
    for node in quantised.graph.node:
        if node.op_type == 'Conv':
            source = made.get(node.input[1])
            name = source.input[0].removesuffix('_quantized') if source is not None else node.input[1]
            assert (name in meant) == (source is not None and source.op_type == 'DequantizeLinear'), name
    used = {node.op_type for node in quantised.graph.node}
    assert used <= OPERATORS and 'QuantizeLinear' in used
    assert [(entry.domain, entry.version) for entry in quantised.opset_import] == [('', plain.opset_import[0].version)]


def test_weights_are_within_half_a_step(models):
    plain, quantised = map(arrays, models)
    found = [name for name in plain if name.endswith('.weight') and f'{name}_quantized' in quantised]
    assert len(found) > 15
    for name in found:
        weight, scale = plain[name], quantised[f'{name}_scale'].reshape(-1, 1, 1, 1)
        assert scale.size == len(weight) and quantised[f'{name}_quantized'].dtype == np.int8
        assert (np.abs(quantised[f'{name}_quantized'] * scale - weight) <= scale * 0.5001).all()


def test_a_relu_after_a_quantised_convolution_is_part_of_its_range(models):
    plain, quantised = ([node.op_type for node in model.graph.node].count('Relu') for model in models)
    assert quantised < plain


@pytest.mark.parametrize('backend', BACKENDS)
def test_features_equal_those_of_the_float_model_up_to_rounding(backend, models):
    """The input of the RPN's last layers, which all of backbone, neck and RPN compute."""
    pytest.importorskip(backend)
    slices = np.stack([to_grey(chest(index, 128))[None] for index in range(3)]).astype(np.float32)
    expected, found = (run(backend, model, slices) for model in models)
    error = np.sqrt(((found - expected) ** 2).mean()) / np.sqrt((expected**2).mean())
    assert 1e-5 < error < 0.1


def run(backend, model, slices):
    (name,) = {node.input[0] for node in model.graph.node if node.op_type == 'Conv' and 'rpn_cls' in node.input[1]}
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.output[:]
    cut.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    content = cut.SerializeToString()
    if backend == 'onnxruntime':
        import onnxruntime

        return onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider']).run([name], {'slices': slices})[0]
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(content), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    return compiled({'slices': slices})[0]
