"""Draw the paper's figures and the attribution to RoIs, and save them."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from mmengine.config import Config

from mmaffinity.evaluation.report import load_runs
from mmaffinity.visualization.confusion import draw_confusion_matrix
from mmaffinity.visualization.saving import FIGURE_FORMATS, save_figure

from .evaluated_model import EvaluatedModel
from .model_figures import model_affinities, model_evidence, model_lesions, most_confident_slices, typical_lesion_slices
from .result_figures import report_ranks, run_curves

Figures = list[Path]


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
        FileNotFoundError, ValueError: as for :func:`model_affinities`, and if config or a checkpoint cannot be loaded.
    """
    models = (EvaluatedModel.load(config, checkpoint, overrides) for checkpoint in checkpoints)
    return _save(model_affinities(models, slices), out_dir, 'figure4_affinity')


def lesion_figure(
    config: str | Path | Config,
    checkpoint: str | Path,
    out_dir: str | Path,
    slices: Sequence[str],
    overrides: dict | None = None,
    score_thr: float = 0.5,
) -> Figures:
    """Figure 6, for slices with lesion annotations: boxes, scores and masks; sigmoid mask scores; ground truth.

    Args:
        config, slices, overrides: as for :func:`affinity_figure`.
        checkpoint: matching weights.
        out_dir: folder for ``figure6_lesions.png`` and ``.pdf``.
        score_thr: lowest score to show.

    Raises:
        FileNotFoundError, ValueError: as for :func:`model_lesions`, and if config or checkpoint cannot be loaded.
    """
    figure = model_lesions(EvaluatedModel.load(config, checkpoint, overrides), slices, score_thr)
    return _save(figure, out_dir, 'figure6_lesions')


def evidence_figures(
    config: str | Path | Config,
    checkpoint: str | Path,
    out_dir: str | Path,
    slices: Sequence[str],
    overrides: dict | None = None,
) -> Figures:
    """Attribution of each class to the RoIs, one figure per slice; see :func:`roi_evidence`.

    Args:
        config, slices, overrides: as for :func:`affinity_figure`.
        checkpoint: matching weights.
        out_dir: folder for ``evidence_<number>_<true class>.png`` and ``.pdf``.

    Raises:
        FileNotFoundError, ValueError: as for :func:`model_evidence`, and if config or checkpoint cannot be loaded.
    """
    model, files = EvaluatedModel.load(config, checkpoint, overrides), []
    for number, path in enumerate(slices, 1):
        figure, truth = model_evidence(model, path)
        files += _save(figure, out_dir, f'evidence_{number}_{truth}')
    return files


def rank_figure(report: str | Path, out_dir: str | Path, published: bool = False) -> Figures:
    """Figure 5: rank of each model under pairs of criteria, from a ``report.json``.

    Args:
        report: written by :func:`write_report`.
        out_dir: folder for ``figure5_ranks.png`` and ``.pdf``.
        published: also rank the published rows, marked as such.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a report, or no pair has two models.
    """
    path = Path(report)
    if not path.is_file():
        raise FileNotFoundError(f'no report {path}; write it with mmaffinity report')
    try:
        content = json.loads(path.read_text())
        figure = report_ranks(content, published)
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is not a report.json of mmaffinity report ({error})') from error
    return _save(figure, out_dir, 'figure5_ranks')


def curve_figure(work_dir: str | Path, out_dir: str | Path) -> Figures:
    """Losses and validation scores during training; see :func:`run_curves`."""
    return _save(run_curves(work_dir), out_dir, 'training_curves')


def confusion_figures(work_dirs: Sequence[str | Path], out_dir: str | Path) -> Figures:
    """Confusion matrix of each finished run that classified slices.

    Args:
        work_dirs: work directories with ``results*.json``, or such files.
        out_dir: folder for the figures.

    Raises:
        FileNotFoundError, ValueError: as for :func:`load_runs`, and if no run classified slices.
    """
    files = []
    for run in load_runs(work_dirs)[0]:
        stem = Path(run.source).stem.removeprefix('results')
        files += _save(
            draw_confusion_matrix(run.confusion, run.classes, run.name),
            out_dir,
            f'confusion_{run.name.replace("/", "_")}{stem}',
        )
    if not files:
        raise ValueError(f'no run in {", ".join(map(str, work_dirs))} classified slices')
    return files


def slices_to_show(work_dir: str | Path, task: str) -> list[str]:
    """Choose slices from a finished run's results, without running the model.

    For 'classification', the most confident correct slice of each class. For 'segmentation', three slices with lesions, at the
    90th, 50th and 10th percentile of mean AP, so that a figure shows failures as well as successes.

    Raises:
        FileNotFoundError, ValueError: as for :func:`load_runs`, and if no slice qualifies.
    """
    load_runs([work_dir])  # checks the files
    folder = Path(work_dir)
    files = [folder] if folder.is_file() else sorted(folder.glob('results*.json'))
    contents = [content for file in files if (content := json.loads(file.read_text())).get('split', 'test') == 'test']
    try:
        if task == 'classification':
            return most_confident_slices(next((content['slices'] for content in contents if content['slices']), []))
        return typical_lesion_slices([record for content in contents for record in content['lesions']])
    except ValueError as error:
        raise ValueError(f'{work_dir}: {error}; choose slices with --slices') from None


def _save(figure: Figure, out_dir: str | Path, stem: str) -> Figures:
    return [save_figure(figure, Path(out_dir) / f'{stem}{suffix}') for suffix in FIGURE_FORMATS]
