"""Draw finished runs: ranks of models (Figure 5), and training curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmaffinity.utils.json_lines import JsonLines
from mmaffinity.visualization.curves import draw_training_curves
from mmaffinity.visualization.ranks import draw_ranks

RANK_PAIRS = (
    ('mAP', 'F1'),
    ('AP50', 'COVID-19 sensitivity'),
    ('F1', 'COVID-19 sensitivity'),
    ('CP sensitivity', 'COVID-19 sensitivity'),
)
SCORE_KEYS = ('slice/f1', 'slice/accuracy', 'slice/sensitivity', 'lesion/')


def report_ranks(content: Mapping[str, Any], published: bool = False) -> Figure:
    """Draw the rank of each model of a report under the paper's pairs of criteria, ``RANK_PAIRS``.

    Args:
        content: content of a ``report.json``.
        published: also rank the published rows, marked as such.

    Raises:
        ValueError: if no pair has two models.
    """
    tables = {table['key']: table['figures'] for table in content['tables']}
    criteria: dict[str, dict[str, float]] = {}
    for record in tables.get('table3', []) + tables.get('table4', []):
        if record['value'] is None or record['kind'] == 'seeds' or record['kind'] == 'published' and not published:
            continue
        metric = record['metric']
        name = 'F1' if metric == 'f1' else f'{metric.split("/")[1]} sensitivity' if '/' in metric else metric
        model = record['model'] + (' (published)' if record['kind'] == 'published' else '')
        criteria.setdefault(name, {})[model] = record['value']
    pairs = [pair for pair in RANK_PAIRS if set(pair) <= set(criteria)]
    note = "Published results are for the paper's slices, not those of the runs." if published else ''
    drawn = [name for name in content.get('synthetic', []) if any(name in values for values in criteria.values())]
    if drawn:
        note += f' Synthetic slices, not CT: {", ".join(drawn)}.'
    return draw_ranks(criteria, pairs, note=note.strip())


def run_curves(work_dir: str | Path) -> Figure:
    """Draw losses and validation scores during training, from the scalars that MMEngine logs.

    If training was resumed, the values of the resumed run replace earlier ones from its first step on.

    Raises:
        FileNotFoundError: if the work directory has no scalar log.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir} contains no */vis_data/scalars.json: give the work directory of a training run')
    losses: dict[str, dict[int, float]] = {}
    scores: dict[str, dict[int, float]] = {}
    for file in files:
        starts: dict = {}
        for _, record in JsonLines(file).lines():
            if record is None:
                continue  # the incomplete last line of a killed run
            validation = 'lr' not in record
            if validation and 'val' in record or 'step' not in record:
                continue
            for key, value in record.items():
                wanted = (
                    key.startswith(SCORE_KEYS if validation else 'loss_')
                    or key == 'loss'
                    and 'loss_slice' not in record
                    and not validation
                )
                if not wanted or not isinstance(value, (int, float)) or not np.isfinite(value):
                    continue
                line = (scores if validation else losses).setdefault(key.removeprefix('slice/'), {})
                if starts.setdefault((validation, key), record['step']) == record['step']:
                    for step in [step for step in line if step >= record['step']]:
                        del line[step]
                line[record['step']] = value
    if 'loss_slice' in losses:
        losses.pop('loss', None)  # logged for segmentation-only epochs; in later epochs the sum mixes two stages
    # F1 per class shows the same as sensitivity.
    scores = {key: line for key, line in scores.items() if not key.startswith('f1_')}
    shown_losses, shown_scores = (
        {key: (list(line), list(line.values())) for key, line in lines.items()} for lines in (losses, scores)
    )
    return draw_training_curves(shown_losses, shown_scores, title=Path(work_dir).name)
