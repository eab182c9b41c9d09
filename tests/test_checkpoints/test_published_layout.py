"""The layout against the models that it maps to, and its conversions against plain indexing."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mmaffinity.checkpoints.published_layout import (
    BACKGROUND_LAST,
    COLUMN,
    NO_BACKGROUND_BOX,
    NO_BACKGROUND_MASK,
    SAME,
    detector_layout,
    part_prefixes,
    parts,
    published_layout,
)
from mmaffinity.utils.config import load_config


@pytest.mark.parametrize('name, num_affinities, num_classes', [('affinity_c8', 8, 3), ('affinity_c512_ictcf', 512, 2)])
def test_every_tensor_of_the_model_has_one_source(repo_root, name, num_affinities, num_classes):
    config = load_config(repo_root / f'configs/published/{name}.py', {'model.backbone.init_cfg': None})
    init_default_scope('mmdet')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    entries = [entry for entry in published_layout(num_affinities, num_classes) if not entry.copy_of]
    shapes = {entry.ours: tuple(entry.change.forward(torch.empty(entry.shape)).shape) for entry in entries}
    assert len(shapes) == len(entries)
    assert shapes == {key: tuple(value.shape) for key, value in model.state_dict().items()}


def test_layout_matches_the_recorded_checkpoint(shared_dir, monkeypatch):
    if not (shared_dir / 'reference' / 'make_checkpoint.py').is_file():
        pytest.skip('no reference/make_checkpoint.py')
    monkeypatch.syspath_prepend(str(shared_dir / 'reference'))
    from make_checkpoint import layout

    for num_affinities, num_classes in ((8, 3), (64, 2)):
        ours = {entry.key: entry.shape for entry in published_layout(num_affinities, num_classes)}
        assert ours == {key: tuple(shape) for key, shape in layout(num_affinities, num_classes).items()}


def test_copies_repeat_an_earlier_tensor():
    entries = published_layout(16, 3)
    keys = [entry.key for entry in entries]
    assert len(set(keys)) == len(keys)
    for i, entry in enumerate(entries):
        assert (entry.ours is None) == (entry.copy_of is not None)
        if entry.copy_of:
            assert entry.copy_of in keys[:i] and entries[keys.index(entry.copy_of)].shape == entry.shape


def test_changes_are_invertible():
    x = torch.arange(8.0)
    assert BACKGROUND_LAST.forward(torch.tensor([1.0, 2.0, 3.0])).tolist() == [2, 3, 1]
    assert NO_BACKGROUND_BOX.forward(x).tolist() == [4, 5, 6, 7]
    assert NO_BACKGROUND_BOX.dropped(x).tolist() == [0, 1, 2, 3]
    assert NO_BACKGROUND_MASK.forward(x[:2]).tolist() == [1]
    assert NO_BACKGROUND_MASK.dropped(x[:2]).tolist() == [0]
    for change, value in (
        (SAME, x),
        (BACKGROUND_LAST, x),
        (NO_BACKGROUND_BOX, x),
        (NO_BACKGROUND_MASK, x[:2]),
        (COLUMN, x[:, None]),
    ):
        rest = change.dropped(value) if change.dropped else None
        assert torch.equal(change.backward(change.forward(value), rest), value)


def test_part_prefixes_are_distinct():
    grouped = parts(detector_layout())
    assert list(grouped) == [
        'backbone',
        'neck',
        'RPN',
        'box head of the segmentation branch',
        'mask head of the segmentation branch',
        'box head of the classification branch',
        'mask head of the classification branch',
    ]
    for part, entries in grouped.items():
        own = {entry.key for entry in entries}
        assert {entry.key for entry in detector_layout() if entry.key.startswith(part_prefixes(entries))} == own, part
