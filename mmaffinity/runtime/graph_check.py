"""Validate an untrusted ONNX file before a runtime opens it."""

from dataclasses import dataclass, field
from math import prod

from .protobuf import fields, integers, message, text

# Field numbers of onnx.proto.
GRAPH, OPSETS, METADATA, TRAINING, FUNCTIONS = 7, 8, 14, 20, 25
NODE, INITIALIZER, INPUT, SPARSE = 1, 5, 11, 15
OP_TYPE, ATTRIBUTE, DOMAIN = 4, 5, 7
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS, SPARSE_TENSOR, SPARSE_TENSORS = 5, 6, 10, 11, 22, 23
DIMS, EXTERNAL_DATA, DATA_LOCATION = 1, 13, 14

MAX_ELEMENTS = 2**27  # per tensor; the largest weight of the models here has 1.6 million
MAX_DIMENSIONS = 16  # per tensor; weights of convolutions have 4
STANDARD = ('', 'ai.onnx')
# Operators that the exporter writes, including those of quantised models. None opens a file or runs another graph.
OPERATORS = frozenset(
    """
    Abs Add And ArgMax Cast Clip Concat Constant ConstantOfShape Conv ConvTranspose DepthToSpace DequantizeLinear Div Equal Exp
    Expand Flatten Gather GatherElements GatherND Gemm Greater GreaterOrEqual Identity InstanceNormalization Less Log MatMul Max
    MaxPool Min Mod Mul Neg NonMaxSuppression NonZero Not Pad QuantizeLinear Range Reciprocal ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceSum Relu Reshape RoiAlign ScatterElements ScatterND Shape Sigmoid Sign Slice Softmax Softplus
    Split Sqrt Squeeze Sub TopK Transpose Unsqueeze Where
""".split()
)


@dataclass
class Contents:
    """The content of an ONNX file.

    Attributes:
        graph: bytes of the graph.
        metadata: metadata of the model.
        inputs: shape of each input by name; None for a dimension of variable size.
        quantized: whether the graph quantises values.
    """

    graph: memoryview
    metadata: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    quantized: bool = False


def inspect(content: bytes) -> Contents:
    """Read the structure of an ONNX file, and reject anything that the exporter does not write.

    Raises:
        ValueError: if the file is damaged, or contains functions, training graphs, subgraphs, operators other than
            :data:`OPERATORS`, tensors stored in other files, or oversized tensors. The message does not name the file.
    """
    contents = None
    metadata: dict[str, str] = {}
    for number, value in fields(memoryview(content)):
        if number == GRAPH:
            if contents is not None:
                raise ValueError('contains two graphs')
            contents = _graph(message(value))
        elif number == METADATA:
            name, entry = _pair(message(value))
            metadata[name] = entry
        elif number == OPSETS:
            parts = dict(fields(message(value)))
            domain = text(parts[1]) if 1 in parts else ''
            if domain not in STANDARD:
                raise ValueError(f'needs operators of {domain!r}; only standard ONNX operators are allowed')
            versions = integers(parts.get(2, 0))
            if len(versions) != 1:
                raise ValueError(f'is damaged: {len(versions)} versions of the standard operators')
        elif number in (TRAINING, FUNCTIONS):
            raise ValueError(
                f'contains {"a training graph" if number == TRAINING else "functions"}, which exported models do not'
            )
    if contents is None:
        raise ValueError('contains no graph, so it is not an ONNX model')
    contents.metadata = metadata
    return contents


def _graph(graph: memoryview) -> Contents:
    contents = Contents(graph)
    for number, value in fields(graph):
        if number == NODE:
            contents.quantized |= _check_node(message(value)) == 'QuantizeLinear'
        elif number == INITIALIZER:
            _check_tensor(message(value))
        elif number == SPARSE:
            raise ValueError('contains sparse weights, which exported models do not')
        elif number == INPUT:
            name, shape = _value_info(message(value))
            contents.inputs[name] = shape
    return contents


def _check_node(node: memoryview) -> str:
    """Return the operator of a node; raise ValueError unless the exporter writes such nodes."""
    operator = domain = ''
    for number, value in fields(node):
        if number == OP_TYPE:
            operator = text(value)
        elif number == DOMAIN:
            domain = text(value)
        elif number == ATTRIBUTE:
            for kind, content in fields(message(value)):
                if kind in (SUBGRAPH, SUBGRAPHS, SPARSE_TENSOR, SPARSE_TENSORS):
                    raise ValueError('contains an operator with its own graph or sparse data, which exported models do not')
                if kind in (TENSOR, TENSORS):
                    _check_tensor(message(content))
    if domain not in STANDARD or operator not in OPERATORS:
        raise ValueError(f'contains the operator {domain + "." if domain else ""}{operator}, which exported models do not use')
    return operator


def _check_tensor(tensor: memoryview) -> None:
    dims: list[int] = []
    for number, value in fields(tensor):
        if number == DIMS:
            dims += integers(value)
        elif number == EXTERNAL_DATA or number == DATA_LOCATION and value != 0:
            raise ValueError('stores weights in another file, which is not supported: export it as a single file')
    if len(dims) > MAX_DIMENSIONS:  # before their product, which would take minutes for a million of them
        raise ValueError(f'contains a tensor of {len(dims)} dimensions; at most {MAX_DIMENSIONS} are allowed')
    if prod(dims) > MAX_ELEMENTS:
        raise ValueError(f'contains a tensor of shape {dims}; at most {MAX_ELEMENTS} elements are allowed')


def _value_info(info: memoryview) -> tuple[str, tuple[int | None, ...]]:
    name, shape = '', []
    for number, value in fields(info):
        if number == 1:
            name = text(value)
        elif number == 2:
            for _, tensor in fields(message(value)):
                for kind, dims in fields(message(tensor)):
                    if kind == 2:
                        shape = [_dimension(message(dim)) for _, dim in fields(message(dims))]
    return name, tuple(shape)


def _dimension(dim: memoryview) -> int | None:
    return next((value for number, value in fields(dim) if number == 1 and isinstance(value, int)), None)


def _pair(entry: memoryview) -> tuple[str, str]:
    parts = dict(fields(entry))
    return text(parts.get(1, memoryview(b''))), text(parts.get(2, memoryview(b'')))
