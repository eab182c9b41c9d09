"""Test a model, from a config and a checkpoint."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmaffinity.checkpoints.model import without_pretrained
from mmaffinity.datasets.sources import check_sources
from mmaffinity.datasets.verification.fingerprints import record_of
from mmaffinity.engine import PagePicturesHook, join_processes
from mmaffinity.engine.console import build_runner
from mmaffinity.engine.failures import plain_failures
from mmaffinity.utils.config import check_data, config_argument, own_config, work_folder
from mmaffinity.utils.files import sha256_of, write_json_atomic
from mmaffinity.utils.nested_datasets import leaf_configs
from mmaffinity.utils.provenance import NOTICE, config_hash, now, versions
from mmaffinity.visualization import draw_confusion_matrix, save_figure

from .data_record import reads_files
from .evaluated_model import EvaluatedModel
from .model_figures import model_affinities, most_confident_slices
from .page_figures import figures_of_test
from .run_pages import write_test_page
from .tested_lists import find_tested_lists

SCHEMA = 2
SPLITS = ('test', 'val')


def test_model(
    config: str | Path | Config,
    checkpoint: str | Path,
    work_dir: str | Path | None = None,
    out: str | Path | None = None,
    show_dir: str | Path | None = None,
    launcher: str = 'none',
    split: str = 'test',
    verbose: bool = True,
    html: str | Path | None = None,
) -> dict:
    """Test a model: lesion segmentation and slice classification in one pass.

    Args:
        config: a config, which is not changed, or its path.
        checkpoint: matching weights.
        work_dir: work directory, for logs; by default that of the config or ``work_dirs/<name of the config>``.
        out: JSON file for metrics and per-slice predictions; see docs/results.md.
        show_dir: folder for images: an overlay per slice, the confusion matrix, affinities of one slice per class.
        launcher: as for :func:`train_model`.
        split: 'test', or 'val' for the validation slices, on whose predictions the report fits its temperature.
        verbose: as for :func:`train_model`.
        html: page with the confusion matrix, curves, figures and images of slices; see docs/pages.md.

    Returns:
        Metrics by name.

    Raises:
        FileNotFoundError: if the config, its data or the checkpoint does not exist.
        ValueError: if the checkpoint does not match the config or is not safe to load, or the config lacks the split.
    """
    cfg = own_config(config)
    # Of the caller's config, before this run's folders and files are added.
    given_hash, fold = config_hash(cfg), fold_of(cfg)
    check_data(cfg, 'test_dataloader')
    name = Path(cfg.filename).stem if cfg.filename else 'model'
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(_no_checkpoint(Path(checkpoint), cfg))
    cfg.work_dir = work_folder(cfg, work_dir)
    use_split(cfg, split)
    check_sources(cfg.test_dataloader.dataset, cfg.model)
    cfg.load_from, cfg.resume = str(checkpoint), False
    cfg.model = without_pretrained(cfg.model)
    if show_dir is not None:
        cfg.merge_from_dict(
            {'default_hooks.visualization': dict(_delete_=True, type='SliceVisualizationHook', show_dir=str(show_dir))}
        )
    join_processes(cfg, launcher)
    with plain_failures('fix this, and run the test again'):
        runner = build_runner(cfg, verbose)
        pages = PagePicturesHook()
        if html is not None:
            runner.register_hook(pages)
        metrics = runner.test()
        if not is_main_process():  # only the main process has the records of all slices
            return metrics
        model = EvaluatedModel(getattr(runner.model, 'module', runner.model), runner.test_dataloader.dataset, name)
        if show_dir is not None:
            _draw_figures(runner, model, Path(show_dir))
        if out is not None or html is not None:
            results = results_of(runner, metrics, given_hash, fold)
            if out is not None:
                write_json_atomic(out, results)
            if html is not None:
                figures = figures_of_test(model, results, Path(checkpoint).parent)
                write_test_page(results, pages.pictures, html, pages.drawn, figures)
    return metrics


def _draw_figures(runner: Runner, model: EvaluatedModel, folder: Path) -> None:
    """Draw the confusion matrix, and Y of the most confident correctly classified slice of each class."""
    for metric in runner.test_evaluator.metrics:
        report = getattr(metric, 'report', None)
        if report is None:
            continue
        save_figure(draw_confusion_matrix(report.confusion, report.class_names), folder / 'confusion_matrix.png')
        try:
            save_figure(model_affinities([model], most_confident_slices(metric.predictions)), folder / 'affinity.png')
        except ValueError as error:
            runner.logger.info(f'affinity.png was not drawn: {error}')


def _no_checkpoint(path: Path, cfg: Config) -> str:
    others = (
        sorted(other.name for other in path.parent.iterdir() if other.suffix in ('.pth', '.safetensors'))
        if path.parent.is_dir()
        else []
    )
    if others:
        return f'no checkpoint {path}; {path.parent} contains {", ".join(others)}'
    return f'no checkpoint {path}; train the model first: mmaffinity train {config_argument(cfg)}'


def use_split(cfg: Config, split: str) -> None:
    """Make a config test another split.

    Raises:
        ValueError: if the split is unknown or missing in the config.
    """
    if split not in SPLITS:
        raise ValueError(f'split must be one of {SPLITS}, not {split!r}')
    if split == 'val':
        if cfg.get('val_dataloader') is None or cfg.get('val_evaluator') is None:
            raise ValueError(
                f'{cfg.filename} has no validation split: its data set publishes none, or the config has no val_dataloader; '
                'use --split test'
            )
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_split = split


def fold_of(cfg: Config) -> dict | None:
    """Return the tested fold, the number of folds, and a hash shared by all folds of an experiment; None without folds."""
    leaf = next((leaf for leaf in leaf_configs((cfg.get('test_dataloader') or {}).get('dataset')) if leaf.get('folds')), None)
    if leaf is None:
        return None

    def without_fold(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: 0 if key == 'fold' else without_fold(item) for key, item in value.items()}
        return [without_fold(item) for item in value] if isinstance(value, (list, tuple)) else value

    return dict(index=leaf.get('fold', 0), of=leaf['folds'], config_sha256=config_hash(Config(without_fold(cfg.to_dict()))))


def results_of(runner: Runner, metrics: dict, config_sha256: str, fold: dict | None) -> dict:
    """Collect the results of a finished test run as plain data, the content of the ``--out`` file.

    Args:
        runner: runner of the run.
        metrics: its metrics.
        config_sha256: hash of the caller's config; the runner's config also contains this run's folders.
        fold: from :func:`fold_of`.
    """
    slices: list[dict] = []
    lesions: list[dict] = []
    for metric in runner.test_evaluator.metrics:
        slices += getattr(metric, 'predictions', [])
        lesions += getattr(metric, 'per_image', [])
    lists = find_tested_lists(runner.test_dataloader.dataset)
    for record in slices + lesions:
        record['rel_path'] = lists.relative(record['img_path'])
    split = runner.cfg.get('test_split', 'test')
    return dict(
        schema=SCHEMA,
        notice=NOTICE,
        created=now(),
        config=runner.cfg.filename,
        config_sha256=config_sha256,
        checkpoint=runner.cfg.load_from,
        checkpoint_sha256=sha256_of(runner.cfg.load_from),
        versions=versions(),
        split=split,
        fold=fold,
        lists=lists.lists,
        data_fingerprint=record_of(runner.test_dataloader.dataset, split, reads_files(runner)),
        slice_classes=list(runner.test_dataloader.dataset.metainfo.get('slice_classes', [])),
        metrics=metrics,
        slices=slices,
        lesions=lesions,
    )
