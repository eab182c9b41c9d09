"""A model and its test set, for figures that need the predictions of a few slices."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmaffinity.checkpoints import build_model, load_checkpoint
from mmaffinity.structures import SliceDataSample
from mmaffinity.utils.config import own_config
from mmaffinity.utils.wording import plural
from mmaffinity.visualization.sample_arrays import picture_as_seen


class PredictedSlice(NamedTuple):
    """A slice of the test set with its prediction.

    Attributes:
        image: the part of the slice that the model saw, at its original size, shape (H, W) or (H, W, 3).
        sample: its data sample, with annotations and predictions.
    """

    image: np.ndarray
    sample: SliceDataSample


class EvaluatedModel:
    """A model and its test set, for predicting a few slices.

    Args:
        model: the model, in evaluation mode.
        dataset: the test set.
        name: name of the checkpoint.
        epoch: epoch of the checkpoint, None if unknown.
    """

    def __init__(self, model: Any, dataset: Any, name: str, epoch: int | None = None) -> None:
        self.model, self.dataset, self.name, self.epoch = model, dataset, name, epoch
        self.class_names = tuple(dataset.metainfo.get('slice_classes', ()))

    @classmethod
    def load(cls, config: str | Path | Config, checkpoint: str | Path, overrides: dict | None = None) -> 'EvaluatedModel':
        """Build the model and the test set of a config.

        Args:
            config: a config or its path; it is not changed.
            checkpoint: matching weights.
            overrides: config fields by dotted key.

        Raises:
            FileNotFoundError: if a file does not exist.
            ValueError: if the checkpoint does not match the config.
        """
        cfg = own_config(config, overrides)
        content = load_checkpoint(checkpoint)
        model = build_model(cfg, checkpoint, content).eval()
        epoch = content.get('meta', {}).get('epoch')
        return cls(model, DATASETS.build(cfg.test_dataloader.dataset), Path(checkpoint).stem, epoch)

    def index_of(self, path: str, task: str) -> int:
        """Find a slice of the test set by its task and the end of its path, and return its index.

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
                f'{path} matches {plural(len(found), f"{task} slice")} of the test set: give enough of the path of one slice'
            )
        return found[0]

    @torch.no_grad()
    def __call__(self, index: int, mask_scores: bool = False) -> PredictedSlice:
        """Predict a slice of the test set.

        Args:
            index: index in the test set.
            mask_scores: return masks as uint8 probabilities in steps of 1/255 instead of binary masks.

        Raises:
            ValueError: if mask scores are requested, but the model has no masks.
        """
        with self._mask_scores() if mask_scores else nullcontext():
            (sample,) = self.model.test_step(pseudo_collate([self.dataset[index]]))
        part, dataset = index, self.dataset
        if hasattr(dataset, 'datasets'):
            which, part = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[which]
        loaded = dataset.pipeline.transforms[0](dataset.get_data_info(part))
        return PredictedSlice(picture_as_seen(loaded['img'], sample), sample)

    @contextmanager
    def _mask_scores(self) -> Iterator[None]:
        head: Any = getattr(self.model, 'roi_head', None)
        if not getattr(head, 'with_mask', False):
            raise ValueError('this figure needs a model that predicts masks')
        threshold = head.test_cfg.mask_thr_binary
        head.test_cfg.mask_thr_binary = -1  # a negative threshold makes MMDetection return probabilities
        try:
            yield
        finally:
            head.test_cfg.mask_thr_binary = threshold
