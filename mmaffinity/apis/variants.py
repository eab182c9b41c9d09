"""Compute the same predictions in several ways: threads, instructions, batches, layouts, rounding and runtimes."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
import torch
from mmengine.config import Config

from mmaffinity.runtime import BACKENDS, has_bfloat16, is_installed, read_model_file
from mmaffinity.scans import Problem, sample_slices
from mmaffinity.utils.files import sha256_of
from mmaffinity.utils.timing import threads

from .base_inferencer import SliceInferencer
from .inferencer import AffinityInferencer
from .onnx_inferencer import OnnxInferencer, check_fallback

REFERENCE = 'float64'
# Environment variables that limit the instructions of torch's own kernels, oneDNN and MKL.
INSTRUCTIONS = {
    'default': dict(ATEN_CPU_CAPABILITY='default', ONEDNN_MAX_CPU_ISA='SSE41', MKL_ENABLE_INSTRUCTIONS='SSE4_2'),
    'avx2': dict(ATEN_CPU_CAPABILITY='avx2', ONEDNN_MAX_CPU_ISA='AVX2', MKL_ENABLE_INSTRUCTIONS='AVX2'),
    'avx512': dict(ATEN_CPU_CAPABILITY='avx512', ONEDNN_MAX_CPU_ISA='AVX512_CORE', MKL_ENABLE_INSTRUCTIONS='AVX512'),
}
# A RoI counts as used if it has at least this share of the weights of its slice.
USED_SHARE = 0.01


@dataclass(frozen=True)
class Variant:
    """One way to compute the same predictions.

    Attributes:
        name: name in tables.
        num_threads, batch_size, device: number of threads, slices per batch, and device.
        dtype: 'float32' or 'float64'; for an exported model, 'bfloat16', or 'float32' for the precision of the file.
        noise: relative standard deviation of Gaussian noise on the features that RPN and RoI heads receive, which emulates the
            rounding of other machines; 0 for none.
        seed: seed of the noise.
        settings: overrides of config fields.
        environment: environment variables of the process that computes; empty for this process.
        exported: model exported by ``mmaffinity export onnx``, to run in ``backend``; empty for torch.
        backend: 'onnxruntime' or 'openvino'.
        fallback: the exported model that predicts undecided slices again in float32; empty for none.
        fallback_margin: see :class:`OnnxInferencer`.
    """

    name: str
    num_threads: int = 1
    batch_size: int = 1
    device: str = 'cpu'
    dtype: str = 'float32'
    noise: float = 0.0
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    exported: str = ''
    backend: str = ''
    fallback: str = ''
    fallback_margin: float | None = None


def default_variants(
    config: Config,
    noise: float = 1e-6,
    seeds: int = 3,
    cuda: bool | None = None,
    exported: str | Path | None = None,
    fallback: str | Path | None = None,
    fallback_margin: float | None = None,
) -> list[Variant]:
    """Return the variants that this machine and model support, the reference first.

    Args:
        config: config of the model; if it folds layers, the same without folding is added.
        noise, seeds: relative noise on the features, and number of draws.
        cuda: whether to include a GPU; None means if torch finds one.
        exported: the same model exported to ONNX, to run in each installed runtime.
        fallback, fallback_margin: see :class:`OnnxInferencer`; each exported variant in lower precision is added once more,
            with this fallback.

    Raises:
        FileNotFoundError, ValueError: if a file does not exist or is not an exported model, the fallback does not suit
            ``exported``, or no variant runs in lower precision.
    """
    backbone, head = config.model.get('backbone') or {}, (config.model.get('roi_head') or {}).get('cls_head') or {}
    found = [Variant(REFERENCE, dtype='float64'), Variant('1 thread')]
    found += [Variant(f'{number} threads', num_threads=number) for number in (2, 4)]
    found.append(Variant('batches of 8', batch_size=8))
    plain: dict[str, Any] = {}
    if backbone.get('type') == 'GreyResNet':
        found.append(Variant('channels first', settings={'model.backbone.channels_last': False}))
        plain['model.backbone.fold_norm'] = False
    if head.get('type') == 'FastAffinityClsHead':
        plain['model.roi_head.cls_head.type'] = 'AffinityClsHead'
    if plain:
        found.append(Variant('not folded', settings=plain))
    best = torch.backends.cpu.get_cpu_capability().lower()
    for name, environment in INSTRUCTIONS.items():
        found.append(Variant(f'instructions: {name}', environment=environment))
        if name == best:
            break
    found += [Variant(f'noise {noise:g}, draw {seed}', noise=noise, seed=seed) for seed in range(seeds)]
    if torch.cuda.is_available() if cuda is None else cuda:
        found.append(Variant('CUDA', device='cuda'))
    if exported is not None:
        found += [Variant(name, exported=str(exported), backend=name) for name in BACKENDS if is_installed(name)]
        if is_installed('openvino') and has_bfloat16() and read_model_file(exported).description['precision'] == 'float32':
            found.append(Variant('openvino, bfloat16', dtype='bfloat16', exported=str(exported), backend='openvino'))
    if exported is not None and fallback is not None:
        model, second = read_model_file(exported), read_model_file(fallback)
        int8 = model.description['precision'] == 'int8'
        lower = [variant for variant in found if variant.exported and (int8 or variant.dtype != 'float32')]
        if not lower:
            raise ValueError(
                'the fallback has no effect: this machine runs the exported model only in float32; omit it, or use an int8 '
                'model'
            )
        for variant in lower:
            margin = check_fallback(model, 'int8' if int8 else variant.dtype, second, fallback_margin)
            found.append(replace(variant, name=f'{variant.name}, fallback', fallback=str(fallback), fallback_margin=margin))
    return found


@dataclass
class Predictions:
    """Predictions of a variant for N slices.

    Attributes:
        names: names of the slices.
        probabilities: probability of each class, shape (N, K).
        labels: the class with the highest logit, shape (N,).
        boxes: RoIs of each slice, x1 y1 x2 y2 in pixels of the slice, shape (N, M, 4).
        scores: lesion probabilities of the RoIs, shape (N, M).
        used: whether a RoI has at least the share ``USED_SHARE`` of the sum of |weights| of its slice, shape (N, M).
        repeated: number of slices that the fallback predicted again.
    """

    names: list[str]
    probabilities: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    used: np.ndarray
    repeated: int = 0


def predictions_of(
    cfg: Config, checkpoint: str | Path, inputs: Sequence[str | Path], variant: Variant, max_slices: int | None
) -> Predictions:
    """Predict every slice of the inputs, or ``max_slices`` evenly spaced ones, as a variant computes it.

    Raises:
        FileNotFoundError, ValueError: as for :class:`AffinityInferencer`, and if no slice can be read, the model classifies
            slices without RoIs, or an exported model comes from another checkpoint.
    """
    if not variant.environment:
        return _predict(cfg, checkpoint, inputs, variant, max_slices)
    with _environment(variant.environment), ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(_predict, cfg, checkpoint, inputs, variant, max_slices).result()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _predict(
    cfg: Config, checkpoint: str | Path, inputs: Sequence[str | Path], variant: Variant, max_slices: int | None
) -> Predictions:
    inferencer = _inferencer(cfg, checkpoint, variant)
    names, rows, repeated = [], [], 0
    with threads(variant.num_threads):
        for result in inferencer.predict_slices(sample_slices(inputs, max_slices)):
            if isinstance(result, Problem):
                continue
            prediction = result.sample.pred_slice
            if 'roi_boxes' not in prediction:
                raise ValueError(f'{cfg.filename} does not classify slices from RoIs: give the config of a model that does')
            logits, boxes, scores = (np.asarray(prediction.get(name), float) for name in ('logits', 'roi_boxes', 'roi_scores'))
            weights = np.abs(np.asarray(prediction.get('roi_weights', np.ones(len(scores))), float))
            names.append(result.slice.name)
            repeated += result.sample.get('repeated', False)
            rows.append([scipy.special.expit(logits), logits, boxes, scores, weights >= USED_SHARE * weights.sum()])
    if not rows:
        raise ValueError(f'no slice could be read from {", ".join(map(str, inputs))}')
    probabilities, logits, boxes, scores, used = (np.stack(column) for column in zip(*rows))
    return Predictions(names, probabilities, logits.argmax(1), boxes, scores, used.astype(bool), repeated)


def _inferencer(cfg: Config, checkpoint: str | Path, variant: Variant) -> SliceInferencer:
    if not variant.exported:
        settings = {'model.test_cfg.mode': 'classification', **variant.settings}
        inferencer = AffinityInferencer(cfg, checkpoint, variant.device, variant.batch_size, cfg_options=settings)
        _disturb(inferencer.model, variant)
        return inferencer
    precision = 'auto' if variant.dtype == 'float32' else variant.dtype
    runtime = OnnxInferencer(
        variant.exported,
        variant.backend,
        precision,
        variant.num_threads,
        variant.batch_size,
        fallback=variant.fallback or None,
        fallback_margin=variant.fallback_margin,
    )
    source = runtime.description['exported_from']
    if source != sha256_of(checkpoint):
        raise ValueError(
            f'{variant.exported} was exported from another checkpoint (SHA-256 {source[:16]}...), not from {checkpoint}: '
            'export this one'
        )
    return runtime


def _disturb(model: torch.nn.Module, variant: Variant) -> None:
    """Set a variant's precision, and add its noise to the features, drawn slice by slice."""
    dtype = getattr(torch, variant.dtype)
    generator = torch.Generator().manual_seed(variant.seed)
    extract = model.to(dtype).extract_feat

    def disturbed(inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        levels = extract(inputs.to(dtype))
        if not variant.noise:
            return levels
        return tuple(level * (1 + variant.noise * torch.randn(level.shape, generator=generator)).to(level) for level in levels)

    model.extract_feat = disturbed
