"""How much predictions depend on the machine: the same slices with other threads, instructions, batches and rounding."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
import torch
from mmengine.config import Config

from mmaffinity.evaluation.functional import format_table
from mmaffinity.runtime import BACKENDS, has_bfloat16, is_installed, read_model_file
from mmaffinity.scans import Problem, sample_slices
from mmaffinity.utils.config import own_config
from mmaffinity.utils.files import sha256_of
from mmaffinity.utils.provenance import NOTICE
from mmaffinity.utils.timing import threads

from .base_inferencer import SliceInferencer
from .inferencer import AffinityInferencer
from .onnx_inferencer import OnnxInferencer

REFERENCE = 'float64'
# Upper limits of the instructions that torch's own kernels, oneDNN and MKL may use.
INSTRUCTIONS = {
    'default': dict(ATEN_CPU_CAPABILITY='default', ONEDNN_MAX_CPU_ISA='SSE41', MKL_ENABLE_INSTRUCTIONS='SSE4_2'),
    'avx2': dict(ATEN_CPU_CAPABILITY='avx2', ONEDNN_MAX_CPU_ISA='AVX2', MKL_ENABLE_INSTRUCTIONS='AVX2'),
    'avx512': dict(ATEN_CPU_CAPABILITY='avx512', ONEDNN_MAX_CPU_ISA='AVX512_CORE', MKL_ENABLE_INSTRUCTIONS='AVX512'),
}
# A slice counts as one with lesions if the reference finds one with at least this probability.
LESION_PROBABILITY = 0.5
# A RoI counts as changed if a corner moves by more (in pixels of the slice), and as used from this share of the weights.
MOVED, READ = 1.0, 0.01


@dataclass(frozen=True)
class Variant:
    """One way to compute the same predictions.

    Attributes:
        name: for tables.
        num_threads, batch_size, device: of the computation.
        dtype: 'float32' or 'float64'; for an exported model, 'bfloat16', or 'float32' for the precision of the file.
        noise: relative standard deviation of Gaussian noise on the input features of RPN and RoI heads, which emulates the
            rounding of other machines; 0 for none.
        seed: seed of the noise.
        settings: overrides of config fields.
        environment: environment variables to start the process with.
        exported: file of ``mmaffinity export onnx``, computed by ``backend``; empty for torch.
        backend: 'onnxruntime' or 'openvino'.
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


def default_variants(
    config: Config, noise: float = 1e-6, seeds: int = 3, cuda: bool | None = None, exported: str | Path | None = None
) -> list[Variant]:
    """Return the variants that this machine and model support, the reference first.

    Args:
        config: config of the model; for each faster form that it uses, the plain form is added.
        noise, seeds: magnitude of the noise on the features and number of its draws.
        cuda: whether to run on a GPU too; None means if there is one.
        exported: the same model exported to ONNX, to run in each runtime that is installed.
    """
    backbone, head = config.model.get('backbone') or {}, (config.model.get('roi_head') or {}).get('cls_head') or {}
    found = [Variant(REFERENCE, dtype='float64'), Variant('1 thread')]
    found += [Variant(f'{number} threads', num_threads=number) for number in (2, 4)]
    found.append(Variant('batches of 8', batch_size=8))
    plain: dict[str, Any] = {}
    if backbone.get('type') == 'GreyResNet':
        found.append(Variant('channels first', settings={'model.backbone.channels_last': False}))
        plain['model.backbone.fold_norm'] = False
    if head.get('type') == 'AffinityClsHead':
        plain['model.roi_head.cls_head.fold'] = False
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
    return found


@dataclass
class Answers:
    """Predictions of a variant for N slices.

    Attributes:
        names: names of the slices.
        probabilities: shape (N, K); 'labels', shape (N,): the class with the highest logit.
        boxes: RoIs of each slice, x1 y1 x2 y2 in pixels of the slice, shape (N, M, 4).
        scores: their lesion probabilities, shape (N, M).
        read: whether a RoI has at least the share ``READ`` of the sum of |weights| of its slice, shape (N, M).
    """

    names: list[str]
    probabilities: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    read: np.ndarray


@dataclass
class Difference:
    """Differences between a variant's predictions for N slices and the reference.

    Attributes:
        probability: the largest change of a probability of a slice, shape (N,).
        label: whether the class changed, shape (N,).
        moved: the largest movement of a RoI used by either: the distance in pixels to the nearest RoI of the other, as the
            largest difference of a coordinate, shape (N,).
        changed: for each slice, the ranks of the reference's RoIs without a counterpart within ``MOVED`` pixels.
    """

    probability: np.ndarray
    label: np.ndarray
    moved: np.ndarray
    changed: list[list[int]]


def measure_agreement(
    config: str | Path | Config,
    checkpoint: str | Path,
    inputs: Sequence[str | Path],
    variants: Sequence[Variant] | None = None,
    cfg_options: dict | None = None,
    max_slices: int | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> dict:
    """Run a model over slices in several ways and compare the predictions with those in float64.

    Args:
        config, checkpoint, cfg_options: as for :class:`AffinityInferencer`, for a model that classifies slices from RoIs.
        inputs: files and folders of slices, as for prediction.
        variants: ways to compute; the first is the reference. None means :func:`default_variants`.
        max_slices: largest number of slices; every n-th slice is used.
        progress: called with a description of the current work.

    Returns:
        Plain data: 'slices', 'with_lesions', 'torch', 'cpu' and a list 'variants', each with its settings, the
        result of :func:`_summary` for 'with_lesions' and 'without', and the 'worst' slices.

    Raises:
        FileNotFoundError, ValueError: as for :class:`AffinityInferencer`, and if no slice can be read.
    """
    cfg = own_config(config, cfg_options)
    variants = list(variants or default_variants(cfg))
    reference: Answers | None = None
    rows = []
    for variant in variants:
        progress(variant.name)
        answers = _answers_of(cfg, checkpoint, inputs, variant, max_slices)
        if reference is None:
            reference = answers
            with_lesions = reference.scores.max(1) >= LESION_PROBABILITY
            continue
        difference = compare(answers, reference)
        rows.append(
            dict(
                asdict(variant),
                with_lesions=_summary(difference, with_lesions),
                without=_summary(difference, ~with_lesions),
                worst=_worst(difference, reference, answers),
            )
        )
    if reference is None or not rows:
        raise ValueError('give a reference and at least one variant to compare with it')
    return dict(
        notice=NOTICE,
        config=str(cfg.filename),
        checkpoint=str(checkpoint),
        torch=torch.__version__,
        cpu=torch.backends.cpu.get_cpu_capability(),
        reference=variants[0].name,
        slices=len(reference.names),
        with_lesions=int(with_lesions.sum()),
        variants=rows,
    )


def compare(answers: Answers, reference: Answers) -> Difference:
    """Compare predictions slice by slice.

    Raises:
        ValueError: if they are for different slices.
    """
    if answers.names != reference.names:
        raise ValueError('the answers are of different slices; the input changed meanwhile')
    changed, moved = [], np.zeros(len(reference.names))
    for i in range(len(reference.names)):
        # (M, M'), between RoIs of the reference and the variant.
        distance = np.abs(reference.boxes[i][:, None] - answers.boxes[i][None]).max(2)
        there, back = distance.min(1), distance.min(0)
        moved[i] = max(there[reference.read[i]].max(initial=0), back[answers.read[i]].max(initial=0))
        changed.append(np.flatnonzero(reference.read[i] & (there > MOVED)).tolist())
    return Difference(
        np.abs(answers.probabilities - reference.probabilities).max(1), answers.labels != reference.labels, moved, changed
    )


def format_agreement(found: dict) -> str:
    """Return the tables of :func:`measure_agreement` as text."""
    parts = [
        f'{found["slices"]} slices, {found["with_lesions"]} with lesions (probability of a RoI at least '
        f'{LESION_PROBABILITY}); changes against {found["reference"]}'
    ]
    header = ['variant', 'slices', 'median dp', '99 % dp', 'largest dp', 'dp > 0.002', 'class', 'RoIs', 'largest move, px']
    for key, title in (('with_lesions', 'Slices with lesions'), ('without', 'Slices without lesions')):
        rows = []
        for row in found['variants']:
            part = row[key]
            if part['slices']:
                rows.append(
                    [
                        row['name'],
                        str(part['slices']),
                        *(f'{part[name]:.1e}' for name in ('median', 'q99', 'max')),
                        str(part['above_0.002']),
                        str(part['class_changed']),
                        str(part['rois_changed']),
                        f'{part["moved"]:.3g}',
                    ]
                )
        if rows:
            parts.append(f'{title}\n{format_table(header, rows)}')
    worst = sorted(
        (dict(entry, variant=row['name']) for row in found['variants'] for entry in row['worst']),
        key=lambda entry: -entry['probability_change'],
    )[:5]
    rows = [
        [
            entry['slice'],
            entry['variant'],
            f'{entry["probability_change"]:.2g}',
            ' '.join(f'{p:.3f}' for p in entry['reference']),
            ' '.join(f'{p:.3f}' for p in entry['answer']),
            ', '.join(map(str, entry['changed_rois'])) or '-',
        ]
        for entry in worst
    ]
    parts.append('Worst slices\n' + format_table(['slice', 'variant', 'dp', 'reference', 'answer', 'changed RoIs'], rows))
    return '\n\n'.join(parts)


def _summary(difference: Difference, of: np.ndarray) -> dict:
    """Summarise some slices: quantiles of the change in probability, and numbers of slices with each kind of change."""
    probability = difference.probability[of]
    count = int(of.sum())
    median, q99, most = (float(np.quantile(probability, q)) for q in (0.5, 0.99, 1.0)) if count else (0.0, 0.0, 0.0)
    return {
        'slices': count,
        'median': median,
        'q99': q99,
        'max': most,
        'above_0.002': int((probability > 0.002).sum()),
        'class_changed': int(difference.label[of].sum()),
        'rois_changed': sum(bool(difference.changed[i]) for i in np.flatnonzero(of)),
        'moved': float(difference.moved[of].max(initial=0)),
    }


def _worst(difference: Difference, reference: Answers, answers: Answers, number: int = 5) -> list[dict]:
    order = np.argsort(-difference.probability, kind='stable')[:number]
    return [
        dict(
            slice=reference.names[i],
            probability_change=float(difference.probability[i]),
            class_changed=bool(difference.label[i]),
            reference=reference.probabilities[i].tolist(),
            answer=answers.probabilities[i].tolist(),
            changed_rois=difference.changed[i],
            changed_boxes=reference.boxes[i][difference.changed[i]].round(1).tolist(),
        )
        for i in order.tolist()
    ]


def _answers_of(
    cfg: Config, checkpoint: str | Path, inputs: Sequence[str | Path], variant: Variant, max_slices: int | None
) -> Answers:
    if not variant.environment:
        return _answers(cfg, checkpoint, inputs, variant, max_slices)
    with _environment(variant.environment), ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(_answers, cfg, checkpoint, inputs, variant, max_slices).result()


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


def _answers(
    cfg: Config, checkpoint: str | Path, inputs: Sequence[str | Path], variant: Variant, max_slices: int | None
) -> Answers:
    inferencer = _inferencer(cfg, checkpoint, variant)
    names, rows = [], []
    with threads(variant.num_threads):
        for result in inferencer.predict_slices(sample_slices(inputs, max_slices)):
            if isinstance(result, Problem):
                continue
            prediction = result.sample.pred_slice
            logits, boxes, scores = (np.asarray(prediction.get(name), float) for name in ('logits', 'roi_boxes', 'roi_scores'))
            weights = np.abs(np.asarray(prediction.get('roi_weights', np.ones(len(scores))), float))
            names.append(result.slice.name)
            rows.append([scipy.special.expit(logits), logits, boxes, scores, weights >= READ * weights.sum()])
    if not rows:
        raise ValueError(f'no slice could be read from {", ".join(map(str, inputs))}')
    probabilities, logits, boxes, scores, read = (np.stack(column) for column in zip(*rows))
    return Answers(names, probabilities, logits.argmax(1), boxes, scores, read.astype(bool))


def _inferencer(cfg: Config, checkpoint: str | Path, variant: Variant) -> SliceInferencer:
    if not variant.exported:
        settings = {'model.test_cfg.mode': 'classification', **variant.settings}
        inferencer = AffinityInferencer(cfg, checkpoint, variant.device, variant.batch_size, cfg_options=settings)
        _disturb(inferencer.model, variant)
        return inferencer
    precision = 'auto' if variant.dtype == 'float32' else variant.dtype
    runtime = OnnxInferencer(variant.exported, variant.backend, precision, variant.num_threads, variant.batch_size)
    source = runtime.description['exported_from']
    if source != sha256_of(checkpoint):
        raise ValueError(
            f'{variant.exported} was exported from another checkpoint (SHA-256 {source[:16]}...) than '
            f'{checkpoint}: export this one'
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
