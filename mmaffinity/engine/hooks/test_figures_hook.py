"""Draw figures of a test run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaffinity.structures import SliceDataSample
from mmaffinity.visualization.affinity_maps import draw_affinity
from mmaffinity.visualization.confusion import draw_confusion_matrix
from mmaffinity.visualization.saving import save_figure


@HOOKS.register_module()
class TestFiguresHook(Hook):
    """Draw the confusion matrix, and the affinity representation Y of one slice per class.

    A class is represented by its most confident correctly classified slice, the first one in case of ties. A class without a
    correctly classified slice has no panel. A distributed run draws the slices of its first process.

    Args:
        out_dir: folder for ``confusion_matrix.png`` and ``affinity.png``.
    """

    def __init__(self, out_dir: str | Path) -> None:
        self.out_dir = Path(out_dir)
        self._best: dict[int, tuple[float, str, np.ndarray]] = {}

    def before_test_epoch(self, runner: Runner) -> None:
        """Discard the slices of an earlier run."""
        self._best = {}

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence[SliceDataSample] | None = None
    ) -> None:
        """Keep Y of each class's most confident slice."""
        for sample in outputs or ():
            if 'gt_slice' not in sample or 'pred_slice' not in sample or 'affinity' not in sample.pred_slice:
                continue
            label, score = int(sample.pred_slice.label), float(sample.pred_slice.score.max())
            if label == int(sample.gt_slice.label) and score > self._best.get(label, (-1.0,))[0]:
                self._best[label] = (score, Path(str(sample.img_path)).name, sample.pred_slice.affinity.cpu().numpy())

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the figures."""
        if not is_main_process():
            return
        reports = [metric.report for metric in runner.test_evaluator.metrics if getattr(metric, 'report', None)]
        if not reports:
            return
        report = reports[0]
        save_figure(draw_confusion_matrix(report.confusion, report.class_names), self.out_dir / 'confusion_matrix.png')
        if self._best:
            labels = sorted(self._best)
            titles = [f'{report.class_names[label]} ({self._best[label][0]:.2f})\n{self._best[label][1]}' for label in labels]
            save_figure(draw_affinity([self._best[label][2] for label in labels], titles), self.out_dir / 'affinity.png')
