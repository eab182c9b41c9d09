"""Write an overlay image for each tested slice."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaffinity.structures import SliceDataSample
from mmaffinity.utils.nested_datasets import leaf_datasets
from mmaffinity.utils.wording import plural
from mmaffinity.visualization.overlays import draw_overlay
from mmaffinity.visualization.sample_arrays import picture_as_seen, sample_name
from mmaffinity.visualization.saving import save_image


@HOOKS.register_module()
class SliceVisualizationHook(Hook):
    """Write an overlay of each tested slice to a folder.

    MMDetection's hook reads slices as 8-bit colour images, which corrupts 16-bit files, and names images by file name only, so
    that ``0034.png`` of one patient overwrites that of another. This hook reads slices with the first transform of the data
    set's pipeline, so that images have the grey levels that the model sees, and names images by patient, scan and slice.

    Args:
        show_dir: folder for the images, relative to the working directory; None draws nothing.
        interval: draw every n-th slice, starting with the first.
        max_slices: maximum number of images per test run (and process); None for no limit.
        score_thr: omit lesions with a lower score.
        max_objects: maximum number of lesions per image.
        show_gt: draw the ground truth, if known.
        show_rois: draw the RoIs used for classification, with rank and weight.

    Raises:
        ValueError: if ``interval`` or ``max_slices`` is below 1.
    """

    def __init__(
        self,
        show_dir: str | Path | None = None,
        interval: int = 1,
        max_slices: int | None = None,
        score_thr: float = 0.5,
        max_objects: int = 100,
        show_gt: bool = True,
        show_rois: bool = False,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} must be at least 1 (every slice)')
        if max_slices is not None and max_slices < 1:
            raise ValueError(f'max_slices={max_slices} must be at least 1, or None for no limit')
        self.show_dir = None if show_dir is None else Path(show_dir)
        self.interval = interval
        self.max_slices = max_slices
        self.options: dict[str, Any] = dict(score_thr=score_thr, max_objects=max_objects, show_gt=show_gt, show_rois=show_rois)
        self._reset()

    def _reset(self) -> None:
        self._num_seen = 0
        self._num_drawn = 0
        self._names: dict[str, str] = {}

    def before_test_epoch(self, runner: Runner) -> None:
        """Reset the counts and names."""
        self._reset()

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence[SliceDataSample] | None = None
    ) -> None:
        """Draw the slices of a batch that are due.

        Raises:
            FileNotFoundError, ValueError: if a slice cannot be read.
        """
        if self.show_dir is None:
            return
        dataset = runner.test_dataloader.dataset
        meta = getattr(dataset, 'metainfo', {})
        for sample in outputs or ():
            due = self._num_seen % self.interval == 0
            self._num_seen += 1
            if not due or (self.max_slices is not None and self._num_drawn >= self.max_slices):
                continue
            image = read_picture(dataset, sample)
            picture = draw_overlay(
                image, sample, meta.get('slice_classes'), lesion_names=meta.get('classes') or ('lesion',), **self.options
            )
            save_image(picture, self.show_dir / self.file_name(sample))
            self._num_drawn += 1

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log where the images are."""
        if self.show_dir is not None:
            runner.logger.info(f'{self._num_drawn} of {plural(self._num_seen, "slice")} drawn in {self.show_dir}')

    def file_name(self, sample: SliceDataSample) -> str:
        """Return the image name of a slice (patient, scan, slice), in characters that all file systems accept.

        A name already taken by another slice gets a suffix derived from the slice's path. Distributed processes do not know
        each other's names, so in distributed runs every name gets the suffix.
        """
        path = str(sample.img_path)
        plain = PurePosixPath(sample_name(sample)).with_suffix('').as_posix()
        stem = re.sub(r'[^A-Za-z0-9.-]+', '_', plain).strip('._')[-150:] or 'slice'
        taken = self._names.setdefault(stem.lower(), path) != path  # some file systems ignore case
        if taken or get_world_size() > 1:
            stem += '-' + hashlib.sha256(path.encode(errors='surrogateescape')).hexdigest()[:10]
        return f'{stem}.png'


def read_picture(dataset: Any, sample: SliceDataSample) -> np.ndarray:
    """Read what the model saw of a slice with the first transform of a data set, or of the first one in a concatenation.

    Raises:
        FileNotFoundError: if the slice does not exist.
        ValueError: if it cannot be read, or the data set has no pipeline.
    """
    dataset = next(leaf_datasets(dataset))
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
    if not transforms:
        raise ValueError(f'{type(dataset).__name__} has no pipeline with a first transform that loads slices')
    return picture_as_seen(transforms[0](dict(img_path=sample.img_path))['img'], sample)
