"""Loading of stored RoIs from a folder written by hand."""

import json

import numpy as np
import pytest
import torch

from mmaffinity.datasets.transforms.stored_rois import LoadStoredRoIs

CANDIDATES, RANKS = 4, 3


@pytest.fixture
def folder(tmp_path):
    """Weighted candidates of two slices, each with the whole slice."""
    random = np.random.RandomState(0)
    arrays = dict(
        boxes=random.rand(2, CANDIDATES + 1, 4),
        mask_features=random.rand(2, CANDIDATES + 1, 5, 1, 1).astype(np.float16),
        rank_weights=random.rand(2, CANDIDATES, RANKS),
    )
    for name, array in arrays.items():
        np.save(tmp_path / f'{name}.npy', array)
    (tmp_path / 'rois.json').write_text(json.dumps(dict(fields=list(arrays), slice_roi=True, slices=['a.png', 'b.png'])))
    return tmp_path


def load(folder, **options):
    return LoadStoredRoIs(str(folder), **options)(dict(img_path='b.png'))['inputs']


def test_candidates_move_with_their_rank_weights(folder):
    every, shuffled = load(folder), load(folder, shuffle=True)
    assert not torch.equal(every['boxes'], shuffled['boxes'])
    assert torch.equal(every['boxes'][-1], shuffled['boxes'][-1])  # the whole slice
    for place, box in enumerate(shuffled['boxes'][:-1]):
        (before,) = (every['boxes'] == box).all(1).nonzero().flatten().tolist()
        assert torch.equal(shuffled['rank_weights'][place], every['rank_weights'][before])
        assert torch.equal(shuffled['mask_features'][place], every['mask_features'][before])


def test_the_whole_slice_has_no_rank_weights(folder):
    every, some, alone = load(folder), load(folder, keep=[2, 0, -1]), load(folder, keep='slice')
    assert torch.equal(some['boxes'], every['boxes'][[2, 0, -1]])
    assert torch.equal(some['rank_weights'], every['rank_weights'][[2, 0]])
    assert torch.equal(alone['boxes'], every['boxes'][-1:]) and 'rank_weights' not in alone


def test_keep_that_is_not_stored(folder):
    with pytest.raises(ValueError, match="keep must be indices of RoIs or 'slice', not 'last'"):
        load(folder, keep='last')
    for index in (CANDIDATES + 1, -CANDIDATES - 2):
        with pytest.raises(ValueError, match=r'keep=\[0, .*\] selects from more RoIs than the 5 per slice in '):
            load(folder, keep=[0, index])
    index = folder / 'rois.json'
    index.write_text(json.dumps(dict(json.loads(index.read_text()), slice_roi=False)))
    with pytest.raises(ValueError, match=f'{folder} does not contain the whole slice: .* slice_roi=True, and set STORED_ROIS'):
        load(folder, keep='slice')


def test_mirror_images_replace_some_slices(folder):
    index = folder / 'rois.json'
    with pytest.raises(ValueError, match='does not contain mirror images: run mmaffinity rois extract again with --flip'):
        load(folder, flip_prob=0.5)
    content = json.loads(index.read_text())
    index.write_text(json.dumps(dict(content, flipped=True, slices=['a.png'])))  # the second row is its mirror image
    original, mirrored = (np.load(folder / 'boxes.npy')[row].astype(np.float32) for row in (0, 1))
    np.random.seed(0)
    loader = LoadStoredRoIs(str(folder), flip_prob=0.25)
    loaded = [loader(dict(img_path='a.png'))['inputs']['boxes'].numpy() for _ in range(200)]
    counts = [sum(np.array_equal(boxes, wanted) for boxes in loaded) for wanted in (original, mirrored)]
    assert sum(counts) == 200 and 30 < counts[1] < 70
    assert torch.equal(LoadStoredRoIs(str(folder))(dict(img_path='a.png'))['inputs']['boxes'], torch.from_numpy(original))
    # All fields of a mirror image are in the same shuffled order.
    ordered, shuffled = (
        LoadStoredRoIs(str(folder), shuffle=shuffle, flip_prob=1.0)(dict(img_path='a.png'))['inputs']
        for shuffle in (False, True)
    )
    assert torch.equal(ordered['boxes'], torch.from_numpy(mirrored)) and not torch.equal(shuffled['boxes'], ordered['boxes'])
    order = [(ordered['boxes'] == box).all(1).nonzero().item() for box in shuffled['boxes']]
    assert torch.equal(shuffled['rank_weights'], ordered['rank_weights'][order[:-1]])
    with pytest.raises(ValueError, match=r'flip_prob must be in \[0, 1\], not 2'):
        LoadStoredRoIs(str(folder), flip_prob=2)
