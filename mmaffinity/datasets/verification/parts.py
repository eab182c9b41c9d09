"""The training, validation and test slices of a config, by data set."""

import hashlib
import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmaffinity.structures import SEGMENTATION
from mmaffinity.utils.nested_datasets import leaf_configs

from .findings import Finding

_OURS = ('LesionDataset', 'SliceDataset', 'SliceFolderDataset')
SPLITS = dict(train='train_dataloader', val='val_dataloader', test='test_dataloader')


class ListedSlice(NamedTuple):
    """A slice listed by a data set.

    Attributes:
        path: path of the file.
        rel_path: path below the data root, with forward slashes.
        patient, scan: names; None if unknown.
        label: label of the slice's class; None for lesion slices.
        size: annotated (width, height) in pixels; None if not annotated.
        lesions: label of each lesion.
        annotation: SHA-256 of the training targets: the label and body box, or the lesions' labels, ignore flags, boxes and
            masks.
        body_box: xmin ymin xmax ymax in pixels, maxima exclusive; None if the list has none.
    """

    path: str
    rel_path: str
    patient: str | None
    scan: str | None
    label: int | None
    size: tuple[int, int] | None
    lesions: tuple[int, ...]
    annotation: str
    body_box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Part:
    """A data set of a split.

    Attributes:
        split: 'train', 'val' or 'test'.
        name: split and list, as shown in findings.
        task: 'segmentation' or 'classification'; None for a data set without a task.
        root: data root; '' if there is none.
        ann_file: path of the list; '' if folders are listed instead.
        classes: class names by label.
        slices: its slices after filtering, sampling and selection of the fold.
        max_value: pixel value of white in 16-bit slices, from the pipeline; None means 65535.
    """

    split: str
    name: str
    task: str | None
    root: str
    ann_file: str
    classes: tuple[str, ...]
    slices: tuple[ListedSlice, ...]
    max_value: int | None = None


def find_parts(config: Config) -> tuple[list[Part], list[Finding]]:
    """Load every data set of a config's data loaders, unwrapping concatenations and wrappers.

    A data set that cannot be loaded becomes a finding, so that the others are still verified.

    Args:
        config: a config from :func:`mmaffinity.utils.config.load_config`.

    Returns:
        The data sets, and findings on those that cannot be loaded and on unused files.

    Raises:
        ValueError: if the config has no data set.
    """
    parts: list[Part] = []
    findings: list[Finding] = []
    broken: defaultdict[str, list[dict[str, str]]] = defaultdict(list)  # each reason is reported once
    unused: dict[str, list[str]] = {}  # likewise, because splits may list the same folders
    leaves = _leaves(config)
    for split, leaf in leaves:
        try:
            # Only the list is needed: transforms may not even be installed, and serialising it for loader workers takes time.
            plain = {'serialize_data': False} if leaf.get('type') in _OURS else {}
            with DefaultScope.overwrite_default_scope('mmdet'):
                dataset = DATASETS.build({**leaf, 'pipeline': [], **plain})
            parts.append(part_of(dataset, split, _max_value(leaf)))
            unused.update(getattr(dataset, 'unused', {}))
        except Exception as error:  # a list may contain anything, and a user-defined data set may raise any error
            reason = str(error) if isinstance(error, (ValueError, OSError)) else f'{type(error).__name__}: {error}'
            broken[reason].append(dict(split=split, type=str(leaf.get('type')), error=reason))
    for reason, places in broken.items():
        splits = ', '.join(dict.fromkeys(place['split'] for place in places))
        what = f'a data set of {splits} cannot be loaded, and is'
        if len(places) > 1:
            what = f'{len(places)} data sets ({splits}) cannot be loaded, and are'
        findings.append(Finding('unreadable-lists', f'{what} not verified further: {reason}', places))
    findings += [Finding('unused-files', message, items) for message, items in unused.items()]
    if not leaves:
        raise ValueError(
            f'{config.filename or "the config"} has no data set: set the dataset of at least one of '
            f'{", ".join(SPLITS.values())}'
        )
    return parts, findings


def find_lesion_files(config: Config) -> dict[str, list[str]]:
    """Return, for each lesion file by path, the data sets that use it, including files that cannot be loaded."""
    files: defaultdict[str, list[str]] = defaultdict(list)
    for split, leaf in _leaves(config):
        if leaf.get('type') == 'LesionDataset' and leaf.get('ann_file'):
            # Joined as in the data set: an absolute path is unchanged.
            path = os.path.join(str(leaf.get('data_root') or ''), str(leaf['ann_file']))
            files[path].append(f'{split} ({leaf["ann_file"]})')
    return files


def _leaves(config: Config) -> list[tuple[str, Any]]:
    """Return the split and config of each data set."""
    loaders = {split: config.get(key) or {} for split, key in SPLITS.items()}
    return [(split, leaf) for split, loader in loaders.items() for leaf in leaf_configs(loader.get('dataset'))]


def lists_paths(dataset: Any) -> bool:
    """Return whether a data set provides the paths of its slices; one that generates slices cannot be verified."""
    return hasattr(dataset, 'get_data_info') and (not len(dataset) or 'img_path' in dataset.get_data_info(0))


def part_of(dataset: Any, split: str, max_value: int | None = None) -> Part:
    """Describe a data set and its slices.

    Args:
        dataset: a lesion or slice data set, or any other MMEngine data set, but not a concatenation.
        split: 'train', 'val' or 'test'.
        max_value: see :class:`Part`.

    Raises:
        ValueError: if the data set does not provide the paths of its slices.
    """
    if not lists_paths(dataset):
        raise ValueError(f'{type(dataset).__name__} does not provide the paths of its slices (get_data_info with img_path)')
    root, ann_file = str(getattr(dataset, 'data_root', '') or ''), str(getattr(dataset, 'ann_file', '') or '')
    metainfo, task = dataset.metainfo, getattr(dataset, 'task', None)
    classes = tuple(metainfo.get('classes' if task == SEGMENTATION else 'slice_classes') or ())
    listed = _relative(ann_file, root) if ann_file else str(getattr(dataset, 'source', type(dataset).__name__))
    slices = tuple(_listed_slice(dataset.get_data_info(index), root, task) for index in range(len(dataset)))
    return Part(split, f'{split} ({listed})', task, root, ann_file, classes, slices, max_value)


def _listed_slice(info: dict[str, Any], root: str, task: str | None) -> ListedSlice:
    lesions = info.get('instances') or [] if task == SEGMENTATION else []
    label, box = info.get('gt_slice_label'), info.get('body_box')
    content = str(label) if box is None else f'{label} {list(box)}'
    if task == SEGMENTATION:
        rows = [
            [
                lesion.get('bbox_label'),
                lesion.get('ignore_flag'),
                [float(side) for side in lesion.get('bbox', ())],
                lesion.get('mask'),
            ]
            for lesion in lesions
        ]
        content = '\n'.join(sorted(json.dumps(row, sort_keys=True, default=bytes.decode) for row in rows))
    patient, scan = (None if info.get(key) is None else str(info[key]) for key in ('patient_id', 'scan_id'))
    return ListedSlice(
        info['img_path'],
        _relative(info['img_path'], root),
        patient,
        scan,
        label,
        (info['width'], info['height']) if 'width' in info and 'height' in info else None,
        tuple(int(lesion.get('bbox_label', 0)) for lesion in lesions),
        hashlib.sha256(content.encode()).hexdigest(),
        box,
    )


def _relative(path: str, root: str) -> str:
    # normpath, so that every check treats 'a/../b' and './b' as the same file.
    pure = PurePath(os.path.normpath(path))
    top = os.path.normpath(root) if root else ''
    return pure.relative_to(top).as_posix() if top and pure.is_relative_to(top) else pure.as_posix()


def _max_value(dataset: dict[str, Any]) -> int | None:
    for transform in dataset.get('pipeline') or []:
        if transform.get('type') == 'LoadCTSlice':
            return transform.get('max_value')
    return None


def same_file_key(path: str) -> str:
    """Return the same string for every spelling of a path; links are not followed, because pixels identify duplicates."""
    return os.path.abspath(Path(path))
