"""A common interface to ONNX Runtime and OpenVINO on the CPU."""

import importlib.util
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.cores import available_cores
from mmaffinity.utils.optional import require

from .model_file import ModelFile

BACKENDS = ('onnxruntime', 'openvino')
PRECISIONS = ('float32', 'bfloat16', 'int8')


class Session(ABC):
    """A loaded model.

    Attributes:
        backend: 'onnxruntime' or 'openvino'.
        version: version of the backend.
        precision: 'float32', 'bfloat16', or 'int8' for a quantised model.
    """

    backend: str
    version: str

    def __init__(self, precision: str) -> None:
        self.precision = precision

    @abstractmethod
    def run(self, slices: np.ndarray) -> dict[str, np.ndarray]:
        """Map slices, float32 (N, 1, H, W) with grey levels 0 to 255, to outputs by name."""


class _OnnxRuntime(Session):
    backend = 'onnxruntime'

    def __init__(self, model: ModelFile, precision: str, threads: int) -> None:
        super().__init__(precision)
        runtime = require('onnxruntime', 'onnx')
        self.version = runtime.__version__
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only, which are also raised
        # Loaded from bytes, a file that slipped through the checks still cannot refer to other files.
        self._session = runtime.InferenceSession(model.content, options, providers=['CPUExecutionProvider'])
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, slices: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._names, self._session.run(self._names, {'slices': slices})))


class _OpenVino(Session):
    backend = 'openvino'

    def __init__(self, model: ModelFile, precision: str, threads: int) -> None:
        super().__init__(precision)
        openvino = require('openvino', 'openvino')
        self.version = str(openvino.__version__).partition('-')[0]
        # OpenVINO defaults to bfloat16 where the processor supports it.
        hint = 'bf16' if precision == 'bfloat16' else 'f32'
        compiled = openvino.Core().compile_model(
            openvino.Core().read_model(model.content),
            'CPU',
            {'INFERENCE_PRECISION_HINT': hint, 'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': threads},
        )
        self._request = compiled.create_infer_request()
        self._names = [output.any_name for output in compiled.outputs]

    def run(self, slices: np.ndarray) -> dict[str, np.ndarray]:
        results = self._request.infer({0: slices})
        return {name: np.array(results[index]) for index, name in enumerate(self._names)}


def open_session(model: ModelFile, backend: str = 'auto', precision: str = 'auto', threads: int | None = None) -> Session:
    """Load a model into a runtime.

    Args:
        model: a checked model file.
        backend: 'onnxruntime', 'openvino', or 'auto': the installed one; if both are, ONNX Runtime for float32 and OpenVINO
            for bfloat16 and int8.
        precision: 'float32'; 'bfloat16', which only OpenVINO supports, and which is slower on processors that emulate it;
            'int8' for a quantised model; 'auto' for the model's own.
        threads: number of threads; None means ``OMP_NUM_THREADS`` or the number of cores.

    Raises:
        ValueError: if the runtime is not installed, does not support the precision, or cannot load the model.
    """
    if backend not in ('auto', *BACKENDS):
        raise ValueError(f'backend={backend!r} must be auto or one of {", ".join(BACKENDS)}')
    if precision not in ('auto', *PRECISIONS):
        raise ValueError(f'precision={precision!r} must be auto or one of {", ".join(PRECISIONS)}')
    own = model.description['precision']
    if own == 'int8' and precision not in ('auto', 'int8'):
        raise ValueError(f'{model.path} is an int8 model; omit --precision {precision}, or export it without --int8')
    if own != 'int8' and precision == 'int8':
        raise ValueError(f'{model.path} is a {own} model; export it with mmaffinity export onnx --int8 SLICES for int8')
    chosen = own if precision == 'auto' else precision
    if backend == 'auto':
        # docs/speed.md: equal in float32, but ONNX Runtime starts faster; OpenVINO is faster in int8 and alone has bfloat16.
        order = BACKENDS if chosen == 'float32' else BACKENDS[::-1]
        backend = 'openvino' if chosen == 'bfloat16' else next(filter(is_installed, order), BACKENDS[0])
    if precision == 'bfloat16' and backend != 'openvino':
        raise ValueError(f'{backend} does not support bfloat16 on CPUs; use --backend openvino or --precision float32')
    kinds: dict[str, Any] = {'onnxruntime': _OnnxRuntime, 'openvino': _OpenVino}
    try:
        return kinds[backend](model, chosen, threads or default_threads())
    except ValueError:  # the runtime is not installed; the message is complete
        raise
    except Exception as error:  # ONNX Runtime's errors share no type
        raise ValueError(f'{model.path} cannot be loaded by {backend}: {str(error).strip().splitlines()[0]}') from error


def default_threads() -> int:
    """Return ``OMP_NUM_THREADS``, or the number of cores that this process may use."""
    given = os.environ.get('OMP_NUM_THREADS', '')
    if given.isdigit() and int(given):
        return int(given)
    return available_cores()


def has_bfloat16() -> bool:
    """Return whether the processor supports bfloat16 (AVX-512 BF16 or AMX) and ``ONEDNN_MAX_CPU_ISA`` does not exclude it.

    False if the system does not report it.
    """
    limit = os.environ.get('ONEDNN_MAX_CPU_ISA', '').upper()
    if limit.startswith(('SSE', 'AVX')) and not any(part in limit for part in ('BF16', 'FP16', 'AMX', 'AVX10')):
        return False  # OpenVINO refuses bfloat16 under such a limit
    try:
        flags = Path('/proc/cpuinfo').read_text()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags


def is_installed(name: str) -> bool:
    """Return whether a runtime, one of ``BACKENDS``, is installed."""
    return importlib.util.find_spec(name) is not None
