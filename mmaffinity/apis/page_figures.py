"""Draw the figures on the pages of test runs and reports, which ``mmaffinity figures`` writes as files."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from mmaffinity.visualization.saving import encode_figure

from .evaluated_model import EvaluatedModel
from .model_figures import model_affinities, model_evidence, model_lesions, most_confident_slices, typical_lesion_slices
from .result_figures import report_ranks, run_curves

DPI = 110  # makes a figure at most 1300 pixels wide


class PageFigure(NamedTuple):
    """A figure of a page.

    Attributes:
        title: heading.
        text: explanation, or the reason why the figure cannot be drawn.
        picture: content of a PNG file; None if the figure cannot be drawn.
    """

    title: str
    text: str
    picture: bytes | None


def figures_of_test(model: EvaluatedModel, results: Mapping[str, Any], training: Path) -> Iterator[PageFigure]:
    """Yield the figures of a test run, drawn with the model that was tested.

    Args:
        model: the model.
        results: content of the ``--out`` file.
        training: work directory of the training run, with its scalar logs.
    """
    if results['slices']:
        affinities = _attempt(
            'Affinity representation Y',
            'The most confident correctly classified slice of each class (Figure 4 of the paper).',
            lambda: model_affinities([model], most_confident_slices(results['slices'])),
        )
        yield affinities
        for path in most_confident_slices(results['slices']) if affinities.picture else ():
            yield _attempt(
                f'Attribution of each class to the RoIs: {path}',
                'Contribution of each RoI to the logit of each class: solid and bright if it supports the class, dashed and '
                'dark if it opposes it.',
                partial(_evidence, model, path),
            )
    if results['lesions']:
        yield _attempt(
            'Lesions: prediction, mask scores, annotation',
            'Slices at the 90th, 50th and 10th percentile of average precision (Figure 6 of the paper).',
            lambda: model_lesions(model, typical_lesion_slices(results['lesions'])),
        )
    yield _attempt('Training', f'Losses and validation scores from the logs in {training}.', lambda: run_curves(training))


def figures_of_report(content: Mapping[str, Any]) -> Iterator[PageFigure]:
    """Yield the figures of a report on several models.

    Args:
        content: content of ``report.json``.
    """
    yield _attempt(
        'Rank of each model under pairs of criteria',
        'A model near the upper left corner is good by both criteria (Figure 5 of the paper).',
        lambda: report_ranks(content),
    )


def _evidence(model: EvaluatedModel, path: str) -> Figure:
    return model_evidence(model, path)[0]


def _attempt(title: str, text: str, draw: Callable[[], Figure]) -> PageFigure:
    try:
        return PageFigure(title, text, encode_figure(draw(), dpi=DPI))
    except (ValueError, OSError) as error:
        return PageFigure(title, f'Not drawn: {error}', None)
