"""The paper's figures, and attribution to RoIs, for trained models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmaffinity.checkpoints import build_model, load_checkpoint
from mmaffinity.evaluation.report import SliceRun, load_runs
from mmaffinity.models.cls_heads import roi_evidence
from mmaffinity.structures import SliceDataSample
from mmaffinity.utils.config import own_config
from mmaffinity.utils.wording import plural
from mmaffinity.visualization import draw_affinity, draw_confusion_matrix, save_figure
from mmaffinity.visualization.curves import draw_training_curves
from mmaffinity.visualization.evidence import draw_evidence
from mmaffinity.visualization.lesion_panels import LesionPanel, draw_lesion_panels
from mmaffinity.visualization.ranks import draw_ranks
from mmaffinity.visualization.sample_arrays import cropped_as_seen, sample_name, to_array, true_lesions

SUFFIXES = ('.png', '.pdf')
# Percentiles of AP of the segmented slices: a good, a median and a bad one.
LESION_QUANTILES = (0.9, 0.5, 0.1)
RANK_PAIRS = (
    ('mAP', 'F1'),
    ('AP50', 'COVID-19 sensitivity'),
    ('F1', 'COVID-19 sensitivity'),
    ('CP sensitivity', 'COVID-19 sensitivity'),
)
SCORE_KEYS = ('slice/f1', 'slice/accuracy', 'slice/sensitivity', 'lesion/')
Figures = list[Path]


class Tested(NamedTuple):
    """A slice of the test set with its prediction."""

    image: np.ndarray
    sample: SliceDataSample


class TestedModel:
    """A model and the slices of its config's test set, for predicting a few of them.

    Args:
        config: a config or its path; it is not changed.
        checkpoint: matching weights.
        overrides: config fields by dotted key; only if ``config`` is a path.
        mask_scores: return masks as probabilities in steps of 1/255 instead of binary.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if the checkpoint does not match the config.
    """

    def __init__(
        self, config: str | Path | Config, checkpoint: str | Path, overrides: dict | None = None, mask_scores: bool = False
    ) -> None:
        cfg = own_config(config, overrides)
        if mask_scores:
            cfg.model.test_cfg.rcnn.mask_thr_binary = -1
        content = load_checkpoint(checkpoint)
        self.model: Any = build_model(cfg, checkpoint, content).eval()
        self.name = Path(checkpoint).stem
        self.meta = content.get('meta', {})
        self.dataset = DATASETS.build(cfg.test_dataloader.dataset)
        self.class_names = tuple(self.dataset.metainfo.get('slice_classes', ()))

    def index_of(self, path: str, task: str) -> int:
        """Return the index of a slice in the test set, by the end of its path and its task.

        Raises:
            ValueError: if the test set has no such slice, or several.
        """
        wanted, found = '/' + path.strip('/'), []
        for index in range(len(self.dataset)):
            info = self.dataset.get_data_info(index)
            if info['task'] == task and ('/' + Path(info['img_path']).as_posix()).endswith(wanted):
                found.append(index)
        if len(found) != 1:
            raise ValueError(
                f'{path} names {plural(len(found), "slice")} of the test set; give enough of the path to identify one'
            )
        return found[0]

    @torch.no_grad()
    def __call__(self, index: int) -> Tested:
        """Predict a slice of the test set."""
        (sample,) = self.model.test_step(pseudo_collate([self.dataset[index]]))
        part, dataset = index, self.dataset
        if hasattr(dataset, 'datasets'):
            which, part = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[which]
        loaded = dataset.pipeline.transforms[0](dataset.get_data_info(part))
        return Tested(cropped_as_seen(loaded['img'], sample), sample)


def surest_slices(run: SliceRun) -> dict[int, str]:
    """Return, for each class, the correctly classified slice with the highest confidence; in a tie, the first by path.

    Raises:
        ValueError: if no slice is correctly classified.
    """
    chosen = {}
    if run.scores is not None:
        for label in range(len(run.classes)):
            right = np.flatnonzero((run.labels == label) & (run.predictions == label))
            if len(right):
                chosen[label] = run.paths[right[run.scores[right, label].argmax()]]
    if not chosen:
        raise ValueError(f'{run.source}: no slice is correctly classified, so there is none to show; name some with --slices')
    return chosen


def affinity_figure(
    config: str | Path | Config,
    checkpoints: Sequence[str | Path],
    out_dir: str | Path,
    slices: Sequence[str],
    overrides: dict | None = None,
) -> Figures:
    """Figure 4: Y for some slices, usually one per class, at one or several epochs side by side.

    Args:
        config: config of the model.
        checkpoints: checkpoints of one training run, from left to right.
        out_dir: folder for ``figure4_affinity.png`` and ``.pdf``.
        slices: paths of slices of the test set, or ends of paths.
        overrides: config fields by dotted key.

    Raises:
        ValueError: if the model has no affinity head.
    """
    columns = []
    for checkpoint in checkpoints:
        model = TestedModel(config, checkpoint, overrides)
        epoch = model.meta.get('epoch')
        when = model.name if epoch is None else f'epoch {epoch}'
        column = []
        for path in slices:
            sample = model(model.index_of(path, 'classification')).sample
            column.append(
                (
                    f'{_truth(sample, model.class_names)}, {when}\n{sample_name(sample)}',
                    to_array(_prediction(sample, 'affinity').affinity),
                )
            )
        columns.append(column)
    panels = [column[row] for row in range(len(slices)) for column in columns]
    figure = draw_affinity([matrix for _, matrix in panels], [title for title, _ in panels], columns=len(columns))
    return _save(figure, out_dir, 'figure4_affinity')


def lesion_figure(
    config: str | Path | Config,
    checkpoint: str | Path,
    out_dir: str | Path,
    slices: Sequence[str],
    overrides: dict | None = None,
    score_thr: float = 0.5,
) -> Figures:
    """Figure 6: boxes, scores and masks; sigmoid mask scores; ground truth, for some slices with lesion annotations."""
    model, panels = TestedModel(config, checkpoint, overrides, mask_scores=True), []
    for path in slices:
        image, sample = model(model.index_of(path, 'segmentation'))
        truth = true_lesions(sample, image.shape[:2])
        found = sample.pred_instances
        title = sample_name(sample)
        if 'pred_slice' in sample:
            label = int(sample.pred_slice.label)
            title += f'\nclassified as {model.class_names[label] if model.class_names else label}'
        panels.append(
            LesionPanel(
                image,
                title,
                to_array(found.bboxes),
                to_array(found.scores),
                to_array(found.masks).astype(np.float64) / 255,
                truth.masks,
            )
        )
    return _save(draw_lesion_panels(panels, score_thr), out_dir, 'figure6_lesions')


def evidence_figures(
    config: str | Path | Config,
    checkpoint: str | Path,
    out_dir: str | Path,
    slices: Sequence[str],
    overrides: dict | None = None,
) -> Figures:
    """Attribution of each class to the RoIs, one figure per slice; see :func:`roi_evidence`."""
    model, files = TestedModel(config, checkpoint, overrides), []
    for number, path in enumerate(slices, 1):
        image, sample = model(model.index_of(path, 'classification'))
        prediction = _prediction(sample, 'roi_weights')
        evidence = roi_evidence(model.model.roi_head.cls_head, prediction.roi_features, prediction.roi_weights)
        title = (
            f'{sample_name(sample)}, truth: {_truth(sample, model.class_names)}, predicted: '
            f'{model.class_names[int(prediction.label)]}'
        )
        figure = draw_evidence(
            image,
            to_array(prediction.roi_boxes),
            to_array(evidence.contributions),
            to_array(evidence.rest),
            model.class_names,
            title,
        )
        files += _save(figure, out_dir, f'evidence_{number}_{_truth(sample, model.class_names)}')
    return files


def rank_figure(
    report: str | Path, out_dir: str | Path, published: bool = False, pairs: Sequence[tuple[str, str]] | None = None
) -> Figures:
    """Figure 5: rank of each model under pairs of criteria, from a ``report.json``.

    Args:
        report: written by :func:`write_report`.
        out_dir: folder for ``figure5_ranks.png`` and ``.pdf``.
        published: also rank the published rows, marked as such.
        pairs: pairs of criteria: 'AP50', 'AP75', 'mAP', 'F1', and '<class> sensitivity'; by default the paper's.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a report, or no pair has two models.
    """
    path = Path(report)
    if not path.is_file():
        raise FileNotFoundError(f'no report {path}; write it with mmaffinity report')
    try:
        content = json.loads(path.read_text())
        tables = {table['key']: table['figures'] for table in content['tables']}
        synthetic = content.get('synthetic', [])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not a report.json of mmaffinity report ({error})') from error
    criteria: dict[str, dict[str, float]] = {}
    for record in tables.get('table3', []) + tables.get('table4', []):
        if record['value'] is None or record['kind'] == 'seeds' or record['kind'] == 'published' and not published:
            continue
        metric = record['metric']
        name = 'F1' if metric == 'f1' else f'{metric.split("/")[1]} sensitivity' if '/' in metric else metric
        model = record['model'] + (' (published)' if record['kind'] == 'published' else '')
        criteria.setdefault(name, {})[model] = record['value']
    pairs = [pair for pair in RANK_PAIRS if set(pair) <= set(criteria)] if pairs is None else pairs
    note = "Published results are for the paper's slices, not those of the runs." if published else ''
    drawn = [name for name in synthetic if any(name in values for values in criteria.values())]
    if drawn:
        note += f' Synthetic slices, not CT: {", ".join(drawn)}.'
    return _save(draw_ranks(criteria, pairs, note=note.strip()), out_dir, 'figure5_ranks')


def curve_figure(work_dir: str | Path, out_dir: str | Path) -> Figures:
    """Losses and validation scores during training, from the scalars that MMEngine logs.

    If training was resumed, the values of the later run replace the earlier ones from its start on.

    Raises:
        FileNotFoundError: if the folder has no scalar log.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir} holds no */vis_data/scalars.json: was a model trained there?')
    losses: dict[str, dict[int, float]] = {}
    scores: dict[str, dict[int, float]] = {}
    for file in files:
        records = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        starts: dict = {}
        for record in records:
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
    figure = draw_training_curves(shown_losses, shown_scores, title=Path(work_dir).name)
    return _save(figure, out_dir, 'training_curves')


def confusion_figures(work_dirs: Sequence[str | Path], out_dir: str | Path) -> Figures:
    """Confusion matrices of all classifications in finished runs."""
    files = []
    for run in load_runs(work_dirs)[0]:
        stem = Path(run.source).stem.removeprefix('results')
        files += _save(
            draw_confusion_matrix(run.confusion, run.classes, run.name),
            out_dir,
            f'confusion_{run.name.replace("/", "_")}{stem}',
        )
    if not files:
        raise ValueError(f'{", ".join(map(str, work_dirs))}: no run classified slices')
    return files


def slices_to_show(work_dir: str | Path, task: str) -> list[str]:
    """Choose slices from a finished run's results, without running the model.

    For 'classification', the most confident correct slice of each class. For 'segmentation', three slices with lesions, at the
    90th, 50th and 10th percentile of mean AP, so that a figure shows failures as well as successes.

    Raises:
        ValueError: if there is none.
    """
    slices, _, _ = load_runs([work_dir])
    if task == 'classification':
        if not slices:
            raise ValueError(f'{work_dir}: no slice was classified; name slices with --slices')
        return list(surest_slices(slices[0]).values())
    folder = Path(work_dir)
    records = []
    for file in [folder] if folder.is_file() else sorted(folder.glob('results*.json')):
        content = json.loads(file.read_text())
        if content.get('split', 'test') == 'test':
            records += [record for record in content['lesions'] if record['num_gt']]
    if not records:
        raise ValueError(f'{work_dir}: no slice with lesions was tested, so there is no Figure 6; name slices with --slices')
    records.sort(key=lambda record: (float(np.mean(record['ap'])), record['img_path']))
    places = dict.fromkeys(round(quantile * (len(records) - 1)) for quantile in LESION_QUANTILES)
    return [str(records[place].get('rel_path') or records[place]['img_path']) for place in places]


def _prediction(sample: SliceDataSample, field: str) -> Any:
    if 'pred_slice' not in sample or field not in sample.pred_slice:
        raise ValueError('this figure needs a model with an affinity head (AffinityClsHead)')
    return sample.pred_slice


def _truth(sample: SliceDataSample, class_names: Sequence[str]) -> str:
    return class_names[int(sample.gt_slice.label)] if 'gt_slice' in sample else 'unknown'


def _save(figure: Any, out_dir: str | Path, stem: str) -> Figures:
    return [save_figure(figure, Path(out_dir) / f'{stem}{suffix}') for suffix in SUFFIXES]
