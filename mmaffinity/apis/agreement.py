"""Measure how much predictions depend on the machine: on thread count, processor instructions, batch size and rounding."""

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

# A slice counts as having lesions if the reference finds a RoI with at least this lesion probability.
LESION_PROBABILITY = 0.5
# A RoI counts as changed if a coordinate moves by more than this, in pixels of the slice.
MOVED = 1.0
WORST = 5  # slices to report


@dataclass
class Difference:
    """Differences between the predictions of a variant and of the reference for N slices.

    Attributes:
        probability: largest change of a class probability, shape (N,).
        label: whether the class changed, shape (N,).
        moved: largest distance from a RoI that either uses to the nearest RoI of the other, in pixels, as the largest
            difference of a coordinate, shape (N,).
        changed: for each slice, the ranks of the RoIs used by the reference that have no counterpart within ``MOVED`` pixels.
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
    """Predict slices with each variant of a model, and compare the predictions with those of the first variant.

    Args:
        config, checkpoint, cfg_options: as for :class:`AffinityInferencer`, for a model that classifies slices from RoIs.
        inputs: files and folders of slices, as for prediction.
        variants: the reference and at least one other variant. None means :func:`default_variants`, with float64 as reference.
        max_slices: maximum number of slices, evenly spaced; None means all.
        progress: called with the name of each variant before it runs.

    Returns:
        Plain data: 'notice', 'config', 'checkpoint', 'torch', 'cpu', the name of the 'reference', the number of 'slices' and of
        those 'with_lesions', and a list 'variants', each with its settings, the number of slices 'repeated' by its fallback,
        the result of :func:`_summary` for 'with_lesions' and 'without', and the 'worst' slices.

    Raises:
        FileNotFoundError, ValueError: as for :class:`AffinityInferencer`, and if there is only one variant, no slice can be
            read, or an exported model comes from another checkpoint.
    """
    cfg = own_config(config, cfg_options)
    first, *others = variants or default_variants(cfg)
    if not others:
        raise ValueError(f'there is nothing to compare with {first.name}: give at least one more variant')
    progress(first.name)
    reference = predictions_of(cfg, checkpoint, inputs, first, max_slices)
    head = cfg.model.roi_head.cls_head
    ranked = reference.scores[:, :-1] if head.get('slice_roi') else reference.scores  # the whole slice is no lesion
    with_lesions = ranked.max(1) >= LESION_PROBABILITY
    rows = []
    for variant in others:
        progress(variant.name)
        found = predictions_of(cfg, checkpoint, inputs, variant, max_slices)
        difference = compare(found, reference)
        rows.append(
            dict(
                asdict(variant),
                repeated=found.repeated,
                with_lesions=_summary(difference, with_lesions),
                without=_summary(difference, ~with_lesions),
                worst=_worst(difference, reference, found),
            )
        )
    return dict(
        notice=NOTICE,
        config=str(cfg.filename),
        checkpoint=str(checkpoint),
        torch=torch.__version__,
        cpu=torch.backends.cpu.get_cpu_capability(),
        reference=first.name,
        slices=len(reference.names),
        with_lesions=int(with_lesions.sum()),
        variants=rows,
    )


def compare(found: Predictions, reference: Predictions) -> Difference:
    """Compare predictions slice by slice.

    Raises:
        ValueError: if the slices differ.
    """
    if found.names != reference.names:
        raise ValueError('the variants predicted different slices: the input changed during the comparison; start it again')
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
        f'{LESION_PROBABILITY}); differences from {found["reference"]}'
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
    parts += [
        f'{row["name"]}: {row["repeated"]} of {found["slices"]} slices undecided and predicted again in float32'
        for row in found['variants']
        if row['fallback']
    ]
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
    """Summarise the selected slices: quantiles of the probability change, and the number of slices with each kind of change."""
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
