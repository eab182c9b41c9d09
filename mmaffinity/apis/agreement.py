"""How much predictions depend on the machine: the same slices with other threads, instructions, batches and rounding."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from mmaffinity.utils.config import own_config
from mmaffinity.utils.provenance import NOTICE
from mmaffinity.utils.tables import format_table

from .variants import Predictions, Variant, default_variants, predictions_of

# A slice counts as one with lesions if the reference finds one with at least this probability.
LESION_PROBABILITY = 0.5
# A RoI counts as changed if a corner moves by more, in pixels of the slice.
MOVED = 1.0
WORST = 5  # slices to report


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
    reference: Predictions | None = None
    rows = []
    for variant in variants:
        progress(variant.name)
        found = predictions_of(cfg, checkpoint, inputs, variant, max_slices)
        if reference is None:
            reference = found
            with_lesions = reference.scores.max(1) >= LESION_PROBABILITY
            continue
        difference = compare(found, reference)
        rows.append(
            dict(
                asdict(variant),
                with_lesions=_summary(difference, with_lesions),
                without=_summary(difference, ~with_lesions),
                worst=_worst(difference, reference, found),
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


def compare(found: Predictions, reference: Predictions) -> Difference:
    """Compare predictions slice by slice.

    Raises:
        ValueError: if they are for different slices.
    """
    if found.names != reference.names:
        raise ValueError('the predictions are for different slices; the input changed meanwhile')
    changed, moved = [], np.zeros(len(reference.names))
    for i in range(len(reference.names)):
        # (M, M'), between RoIs of the reference and the variant.
        distance = np.abs(reference.boxes[i][:, None] - found.boxes[i][None]).max(2)
        there, back = distance.min(1), distance.min(0)
        moved[i] = max(there[reference.used[i]].max(initial=0), back[found.used[i]].max(initial=0))
        changed.append(np.flatnonzero(reference.used[i] & (there > MOVED)).tolist())
    return Difference(
        np.abs(found.probabilities - reference.probabilities).max(1), found.labels != reference.labels, moved, changed
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
    )[:WORST]
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


def _worst(difference: Difference, reference: Predictions, found: Predictions) -> list[dict]:
    order = np.argsort(-difference.probability, kind='stable')[:WORST]
    return [
        dict(
            slice=reference.names[i],
            probability_change=float(difference.probability[i]),
            class_changed=bool(difference.label[i]),
            reference=reference.probabilities[i].tolist(),
            answer=found.probabilities[i].tolist(),
            changed_rois=difference.changed[i],
            changed_boxes=reference.boxes[i][difference.changed[i]].round(1).tolist(),
        )
        for i in order.tolist()
    ]
