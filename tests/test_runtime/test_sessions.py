"""ONNX Runtime and OpenVINO agree with torch, for one slice and for several."""

import numpy as np
import pytest
import torch

from mmaffinity.runtime import BACKENDS, open_session, read_model_file, sessions


@pytest.fixture(scope='module')
def model(exported):
    return read_model_file(exported[2])


@pytest.fixture(scope='module')
def expected(exported):
    """Slices, and the outputs of the graph in torch."""
    from model_helpers import images

    from mmaffinity.apis import AffinityInferencer
    from mmaffinity.deployment.slice_graph import SliceGraph

    graph = SliceGraph(AffinityInferencer(*exported[:2], device='cpu').model, 128, 128).eval()
    slices = torch.stack(images(3, seed=4)).float()
    with torch.inference_mode():
        outputs = graph(slices)
    return slices.numpy(), dict(zip(graph.output_names, (value.numpy() for value in outputs)))


@pytest.mark.parametrize('backend', BACKENDS)
def test_outputs_equal_those_of_torch(backend, model, expected):
    pytest.importorskip(backend)
    slices, outputs = expected
    session = open_session(model, backend, threads=1)
    assert session.backend == backend and session.precision == 'float32'
    together = session.run(slices)
    assert together.keys() == outputs.keys() and outputs['count'].min() > 0
    one_by_one = [session.run(slices[row : row + 1]) for row in range(len(slices))]
    for name, value in outputs.items():
        np.testing.assert_allclose(together[name], value, rtol=1e-3, atol=2e-3, err_msg=name)
        alone = np.concatenate([part[name] for part in one_by_one])
        np.testing.assert_allclose(alone, value, rtol=1e-3, atol=2e-3, err_msg=name)


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_slice_without_lesions(backend, model):
    pytest.importorskip(backend)
    outputs = open_session(model, backend, threads=1).run(np.zeros((1, 1, 128, 128), np.float32))
    assert np.isfinite(outputs['probabilities']).all() and outputs['masks'].shape == (1, 100, 28, 28)


@pytest.mark.parametrize('backend', BACKENDS)
def test_int8_has_the_same_outputs(backend, exported_int8, model, expected):
    pytest.importorskip(backend)
    session = open_session(read_model_file(exported_int8), backend, threads=1)
    found = session.run(expected[0])
    assert session.precision == 'int8'
    assert {name: value.shape for name, value in found.items()} == {name: value.shape for name, value in expected[1].items()}
    assert all(np.isfinite(value).all() for value in found.values()) and found['count'].min() > 0


def test_requested_precision_must_match_the_file(exported_int8, model):
    quantised = read_model_file(exported_int8)
    with pytest.raises(ValueError, match='int8.onnx is an int8 model; omit --precision bfloat16'):
        open_session(quantised, 'auto', 'bfloat16')
    with pytest.raises(ValueError, match='narrow.onnx is a float32 model; .*mmaffinity export onnx --int8'):
        open_session(model, 'auto', 'int8')


def test_auto_selects_the_faster_installed_backend(exported_int8, model, monkeypatch):
    opened = []

    class Opened(sessions.Session):
        def __init__(self, model, precision, threads):
            opened.append((self.backend, precision))

        def run(self, slices):
            pytest.fail('nothing is predicted here')

    for kind in ('_OnnxRuntime', '_OpenVino'):
        backend = getattr(sessions, kind).backend
        monkeypatch.setattr(sessions, kind, type(kind, (Opened,), {'backend': backend}))
    quantised = read_model_file(exported_int8)
    for installed in (BACKENDS, BACKENDS[:1], BACKENDS[1:]):
        monkeypatch.setattr(sessions, 'is_installed', installed.__contains__)
        open_session(model)
        open_session(quantised)
    open_session(model, precision='bfloat16')
    assert opened == [
        ('onnxruntime', 'float32'),
        ('openvino', 'int8'),
        ('onnxruntime', 'float32'),
        ('onnxruntime', 'int8'),
        ('openvino', 'float32'),
        ('openvino', 'int8'),
        ('openvino', 'bfloat16'),
    ]


def test_unsupported_requests_are_reported(model, monkeypatch):
    with pytest.raises(ValueError, match='onnxruntime does not support bfloat16'):
        open_session(model, 'onnxruntime', 'bfloat16')
    with pytest.raises(ValueError, match='backend=.tensorrt'):
        open_session(model, 'tensorrt')
    with pytest.raises(ValueError, match='precision=.int4'):
        open_session(model, 'auto', 'int4')


def test_threads(monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert sessions.default_threads() == 3
    monkeypatch.setenv('OMP_NUM_THREADS', 'x')
    assert sessions.default_threads() >= 1


@pytest.mark.parametrize(
    ('flags', 'limit', 'found'),
    [
        ('avx512f avx512_bf16', None, True),
        ('avx512f amx_bf16', 'DEFAULT', True),
        ('avx2 avx512f', None, False),
        ('avx512f avx512_bf16', 'AVX2', False),
        ('avx512f avx512_bf16', 'avx512_core_vnni', False),
        ('avx512f avx512_bf16', 'AVX512_CORE_BF16', True),
        ('avx512f amx_bf16', 'AVX512_CORE_AMX', True),
        ('avx512f avx512_bf16', 'SSE41', False),
    ],
)
def test_bfloat16_needs_the_processor_and_no_limit_below_it(flags, limit, found, monkeypatch):
    monkeypatch.setattr(sessions.Path, 'read_text', lambda path: f'flags : {flags}')
    monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
    if limit is not None:
        monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', limit)
    assert sessions.has_bfloat16() is found
