"""Keep thumbnails of tested slices for the page of a test run."""

import heapq
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaffinity.structures import SliceDataSample
from mmaffinity.visualization.pages.panels import SCORE_THR, panel_pair, predicted_part
from mmaffinity.visualization.sample_arrays import slice_probabilities, true_class

from .slice_visualization_hook import read_picture

MAX_PICTURES = 2000  # each takes about 15 kB


class PagePicturesHook(Hook):
    """Keep thumbnails of tested slices in memory, preferring misclassified slices, then the least confident ones.

    A distributed run keeps those of the first process. :func:`~mmaffinity.apis.test_model` adds this hook; it is not for
    configs.

    Attributes:
        pictures: after the run, JPEG data by ``(task, img_path)``.
        drawn: what they show of the predictions (see :func:`predicted_part`).
    """

    def __init__(self) -> None:
        self.pictures: dict[tuple[str, str], bytes] = {}
        self.drawn: str | None = None

    def before_test_epoch(self, runner: Runner) -> None:
        """Discard the thumbnails of an earlier run."""
        self._kept: list[tuple[float, int, tuple[str, str], bytes]] = []
        self._number = 0

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence[SliceDataSample] | None = None
    ) -> None:
        """Draw the slices of a batch that rank above the lowest one kept."""
        for sample in outputs or ():
            self._number += 1
            priority = self._priority(sample), -self._number
            if len(self._kept) == MAX_PICTURES and priority < self._kept[0][:2]:
                continue
            image = read_picture(runner.test_dataloader.dataset, sample)
            self.drawn = predicted_part(sample) or self.drawn
            entry = (*priority, (str(sample.get('task')), str(sample.img_path)), panel_pair(image, sample, SCORE_THR))
            (heapq.heappushpop if len(self._kept) == MAX_PICTURES else heapq.heappush)(self._kept, entry)

    @staticmethod
    def _priority(sample: SliceDataSample) -> float:
        """Return 2 for a misclassified slice, 1.5 for a lesion slice, and 1 - confidence for a correctly classified one."""
        truth, (predicted, scores) = true_class(sample), slice_probabilities(sample)
        if truth is None or predicted is None:
            return 1.5
        return 2.0 if truth != predicted else 1 - max(scores)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Collect the thumbnails in ``pictures``."""
        self.pictures = {name: picture for _, _, name, picture in self._kept}
