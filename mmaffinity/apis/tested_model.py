"""A model with the test set of its config, for predicting some of its slices."""

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
from mmaffinity.visualization.sample_arrays import cropped_as_seen


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
