"""Store the RoIs that a detector finds, and join the detector with a slice head trained on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch import nn

from mmaffinity.checkpoints.loading import load_checkpoint
from mmaffinity.checkpoints.model import weights_of, without_pretrained
from mmaffinity.datasets.transforms.stored_rois import INDEX
from mmaffinity.structures import CLASSIFICATION
from mmaffinity.utils.config import own_config
from mmaffinity.utils.files import sha256_of, whole_file, whole_folder, write_json_atomic
from mmaffinity.utils.nested_datasets import leaf_configs
from mmaffinity.utils.provenance import NOTICE, SYNTHETIC, config_hash
from mmaffinity.utils.references import DATALOADERS
from mmaffinity.utils.wording import first_and_rest

HEAD = 'roi_head.cls_head.'
FIELDS = ('boxes', 'scores', 'deltas', 'mask_features', 'rank_weights')


def load_detector(cfg: Config, checkpoint: str | Path) -> nn.Module:
    """Build an affinity model with the weights of a detector: an affinity model, or a Mask R-CNN of the same architecture.

    The slice head keeps its random weights.

    Raises:
        FileNotFoundError: if the checkpoint does not exist.
        ValueError: if weights before the slice head are missing or do not fit.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = MODELS.build(without_pretrained(cfg.model))
    if not hasattr(getattr(model, 'roi_head', None), 'rank_rois'):
        raise ValueError(
            f'{cfg.filename} is a config of {cfg.model.type}, which does not rank RoIs; give the config of an affinity model'
        )
    weights = {
        name: value for name, value in weights_of(load_checkpoint(checkpoint), checkpoint).items() if not name.startswith(HEAD)
    }
    try:
        missing, foreign = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(f'the checkpoint {checkpoint} does not match the config: {error}') from error
    problems = [name for name in [*missing, *foreign] if not name.startswith(HEAD)]
    if problems:
        raise ValueError(
            f'the checkpoint {checkpoint} does not match the config: only one of the two has {first_and_rest(problems)}'
        )
    return model.eval()


@torch.no_grad()
def extract_rois(
    config: str | Path | Config,
    checkpoint: str | Path,
    out: str | Path,
    overwrite: bool = False,
    batch_size: int = 4,
    overrides: dict | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    flip: bool = False,
) -> Path:
    """Store the RoIs (:class:`RankedRoIs`) of every labelled slice in a config's data sets, for :class:`RoISliceClassifier`.

    Args:
        config: a config of an affinity model, or its path. Slices are prepared by the pipeline of its test set.
        checkpoint: weights of the detector, see :func:`load_detector`.
        out: folder to write: a ``.npy`` file per field, mask features as float16, and ``rois.json`` with the slices.
        overwrite: replace an earlier result.
        batch_size: slices per batch.
        overrides: config fields by dotted key.
        progress: called with the number of finished slices and their total.
        flip: also store the RoIs of the mirror image of each slice, as a second block of rows in each file (see ``flip_prob``
            of :class:`LoadStoredRoIs`).

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if the config, the checkpoint or the data do not exist.
        FileExistsError: if the folder contains an earlier result and ``overwrite`` is not set.
        ValueError: if the checkpoint does not fit, or the config has no labelled slices.
    """
    cfg = own_config(config, overrides)
    model = load_detector(cfg, checkpoint)
    dataset_cfgs = [
        leaf
        for loader in DATALOADERS
        for leaf in leaf_configs((cfg.get(loader) or {}).get('dataset'))
        if getattr(DATASETS.get(leaf.get('type')), 'task', None) == CLASSIFICATION
    ]
    if not dataset_cfgs:
        raise ValueError(f'{cfg.filename} has no labelled slices: give a config with a classification data set')
    places: dict[str, tuple[Any, int]] = {}
    for leaf in dataset_cfgs:
        # Keep test_mode, which selects the slices of a fold, but not on_unreadable, which would store RoIs of other slices.
        options = {key: value for key, value in leaf.items() if key != 'on_unreadable'}
        dataset = DATASETS.build({**options, 'pipeline': dataset_cfgs[-1]['pipeline']})
        for index in range(len(dataset)):
            places.setdefault(dataset.get_data_info(index)['img_path'], (dataset, index))
    arrays: dict[str, np.memmap] = {}
    todo = list(places.values())
    with whole_folder(out, INDEX, overwrite) as folder:
        for start in range(0, len(todo), batch_size):
            batch = pseudo_collate([dataset[index] for dataset, index in todo[start : start + batch_size]])
            data = model.data_preprocessor(batch)
            inputs, samples = data['inputs'], data['data_samples']
            for block, slices in enumerate([inputs, _mirrored(inputs, samples)] if flip else [inputs]):
                row = block * len(todo) + start
                x = model.extract_feat(slices)
                rois = model.roi_head.rank_rois(x, model._propose(x, samples), [sample.metainfo for sample in samples])
                for name in FIELDS:
                    value = getattr(rois, name)
                    if value is None:
                        continue
                    if name not in arrays:
                        kind = np.float16 if name == 'mask_features' else np.float32
                        shape = (len(todo) * (1 + flip), *value.shape[1:])
                        arrays[name] = np.lib.format.open_memmap(folder / f'{name}.npy', mode='w+', dtype=kind, shape=shape)
                    arrays[name][row : row + len(value)] = value.numpy()
            progress(min(start + batch_size, len(todo)), len(todo))
        for array in arrays.values():
            array.flush()
        write_json_atomic(
            folder / INDEX,
            dict(
                notice=NOTICE,
                config_sha256=config_hash(cfg),
                checkpoint_sha256=sha256_of(checkpoint),
                fields=list(arrays),
                slice_roi=model.roi_head.cls_head.with_slice_roi,
                flipped=flip,
                slices=list(places),
            ),
        )
    return Path(out)


def _mirrored(inputs: torch.Tensor, samples: list) -> torch.Tensor:
    """Mirror N slices (N, C, H, W) left to right; their padding, if any, stays on the right."""
    inputs = inputs.clone()
    for image, sample in zip(inputs, samples):
        width = sample.img_shape[1]
        image[..., :width] = image[..., :width].flip(-1)
    return inputs


def merge_head(
    config: str | Path | Config, detector: str | Path, head: str | Path, out: str | Path, overrides: dict | None = None
) -> Path:
    """Join a detector with a slice head trained on its stored RoIs in a checkpoint of the affinity model.

    Args:
        config: config of the affinity model, or its path.
        detector: weights of the detector, see :func:`load_detector`.
        head: checkpoint of a :class:`RoISliceClassifier` with the slice head of that config.
        out: checkpoint to write; an existing file is replaced.
        overrides: config fields by dotted key.

    Returns:
        The checkpoint.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if the weights do not fit the config.
    """
    cfg = own_config(config, overrides)
    model = load_detector(cfg, detector)
    content = load_checkpoint(head)
    weights = {name.removeprefix(HEAD): value for name, value in weights_of(content, head).items()}
    try:
        model.roi_head.cls_head.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f'the slice head of {head} does not match the config: {error}') from error
    names: dict[str, Any] = {}
    first = load_checkpoint(detector)
    for source, key in ((first, 'classes'), (content, 'slice_classes')):
        value = ((source.get('meta') or {}).get('dataset_meta') or {}).get(key)
        if value is not None:
            names[key] = value
    meta = dict(dataset_meta=names, detector_sha256=sha256_of(detector), head_sha256=sha256_of(head))
    if (first.get('meta') or {}).get(SYNTHETIC):
        meta[SYNTHETIC] = True
    with whole_file(out) as file:
        torch.save(dict(meta=meta, state_dict=model.state_dict()), file)
    return Path(out)
