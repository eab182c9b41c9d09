"""Collect the results of a plan: tables, figures and the page that shows them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mmaffinity.apis import figures
from mmaffinity.apis.report import write_report
from mmaffinity.utils.config import load_config
from mmaffinity.visualization.saving import write_atomically

from .folder import PlanFolder
from .page import Part, page_text
from .plan import RESULTS, Run

PAGE = 'index.md'


def collect(folder: PlanFolder, failed: dict[str, str] | None = None) -> Path:
    """Write the tables and figures of all finished runs, and a page that shows them.

    If a table or figure cannot be made, the page says why; the others are still written.

    Args:
        folder: folder of the plan.
        failed: reason for each run that did not finish.

    Returns:
        The page, ``report/index.md``.

    Raises:
        ValueError: if no run has finished.
    """
    done = [run for run in folder.plan.runs if folder.done(run)]
    if not done:
        raise ValueError(f'no run in {folder.out} has finished, so there is nothing to report')
    report = folder.report
    parts = [_attempt('Tables', lambda: list(write_report([folder.of(run.name) for run in done], report).values()))]
    parts += [_attempt('Figure 5: ranks', lambda: figures.rank_figure(report / 'report.json', report, published=True))]
    shown = next((run for run in done if has_affinities(run)), None)
    if shown is not None:
        parts += _figures_of(folder, shown)
    parts += [
        _attempt(f'Training of {run.name}', partial(figures.curve_figure, folder.of(run.name), report / 'curves' / run.name))
        for run in done
    ]
    write_atomically(report / PAGE, page_text(folder, parts, failed or {}).encode())
    return report / PAGE


def _figures_of(folder: PlanFolder, run: Run) -> list[Part]:
    place, report = folder.of(run.name), folder.report
    results = place / f'{RESULTS}.json' if RESULTS in run.tests else place
    config = run.tests.get(RESULTS, run.config)
    checkpoints = sorted(place.glob('epoch_*.pth'), key=lambda path: int(path.stem.split('_')[1]))
    checkpoints = checkpoints if len(checkpoints) < 3 else [checkpoints[0], checkpoints[-1]]
    return [
        _attempt(
            f'Figure 4: affinities of {run.name}',
            lambda: figures.affinity_figure(
                config,
                checkpoints or [place / run.checkpoint],
                report,
                figures.slices_to_show(results, 'classification'),
                run.options,
            ),
        ),
        _attempt(
            f'Figure 6: lesions, {run.name}',
            lambda: figures.lesion_figure(
                config, place / run.checkpoint, report, figures.slices_to_show(results, 'segmentation'), run.options
            ),
        ),
    ]


def has_affinities(run: Run) -> bool:
    """Return whether a run trains an affinity model with lesions, for which the paper's Figures 4 and 6 can be drawn."""
    model = load_config(run.config, run.options).model
    head = (model.get('roi_head') or {}).get('cls_head') or {}
    return 'num_affinities' in head and not run.starts


def _attempt(title: str, make: Callable[[], list[Path]]) -> Part:
    try:
        return Part(title, make())
    except (ValueError, OSError) as error:
        return Part(title, [], str(error))
