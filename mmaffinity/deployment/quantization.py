"""Post-training quantisation of convolutions to int8, with ranges measured on calibration slices."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.optional import quiet, require

# Prefixes of the weights of quantised convolutions, which do nearly all of the arithmetic. The first convolution, and all
# layers whose outputs rank boxes, draw masks or classify, stay in float32.
PARTS = ('backbone.layer', 'neck.', 'rpn.head.rpn_conv.', 'mask_head.convs.', 'mask_head.up.', 'cls_head.features.mask.')


def quantize(model: Any, slices: Iterable[np.ndarray]) -> Any:
    """Quantise the convolutions of an exported model to int8 with ONNX Runtime.

    Weights have a scale per output channel, activations a scale per tensor that covers their range over the calibration
    slices. The result uses standard operators (QuantizeLinear, DequantizeLinear), which runtimes replace with integer
    convolutions.

    Args:
        model: ``ModelProto`` in float32, with the names from ``export_onnx``; unusable afterwards, because ONNX Runtime moves
            its weights to temporary files.
        slices: at least one calibration slice, each float32 (1, 1, H, W) with grey levels 0 to 255.

    Returns:
        The quantised ``ModelProto``.

    Raises:
        ValueError: if the onnx or onnxruntime package is missing.
    """
    onnx = require('onnx', 'onnx')
    tools = require('onnxruntime.quantization', 'onnx')
    weights = {tensor.name for tensor in model.graph.initializer if tensor.name.startswith(PARTS)}
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv' and node.input[1] in weights]
    produced = {node.output[0] for node in convolutions}
    # A ReLU after a quantised convolution needs no operator of its own: its output range starts at 0.
    activations = [node for node in model.graph.node if node.op_type == 'Relu' and node.input[0] in produced]

    class Reader(tools.CalibrationDataReader):  # type: ignore[name-defined]
        rest = iter(slices)

        def get_next(self) -> dict[str, np.ndarray] | None:
            values = next(self.rest, None)
            return None if values is None else {'slices': values}

    # ONNX Runtime advises to optimise the graph first, which torch's exporter has done.
    with tempfile.TemporaryDirectory() as folder, quiet('root'):
        path = Path(folder) / 'int8.onnx'
        tools.quantize_static(
            model,
            path,
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=['Conv', 'Relu'],
            nodes_to_quantize=[node.name for node in (*convolutions, *activations)],
            per_channel=True,
            # x86 processors have instructions for this combination.
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
        )
        return onnx.load(path)
