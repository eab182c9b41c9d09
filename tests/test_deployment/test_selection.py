"""Selection of the RoIs of a batch, against the selectors of single slices."""

import pytest
import torch

from mmaffinity.deployment.boxes import Proposals
from mmaffinity.deployment.selection import SoftSelection, TopSelection
from mmaffinity.models import SoftRoISelector, TopRoISelector

SLICES, PROPOSALS = 4, 30


@pytest.fixture
def found():
    """Decoded boxes, their lesion log-odds and the proposals by decreasing objectness."""
    generator = torch.Generator().manual_seed(0)
    corner, extent = torch.rand(2, 2, SLICES, PROPOSALS, 2, generator=generator)
    decoded, boxes = torch.cat([corner * 60, corner * 60 + extent * 30], -1)
    decoded[..., ::5, 2] = decoded[..., ::5, 0]  # without area
    logits = torch.randn(SLICES, PROPOSALS, generator=generator) * 2
    objectness = torch.randn(SLICES, PROPOSALS, generator=generator).sort(1, descending=True).values
    return decoded, logits, Proposals(boxes, objectness, None)


@pytest.mark.parametrize('settings', [dict(), dict(nms_iou=0.75), dict(num_rois=3), dict(min_area=300.0)], ids=str)
def test_top_selection_equals_that_of_each_slice(found, settings):
    selector = TopRoISelector(**settings)
    boxes, logits, proposals = found
    chosen = TopSelection(selector)(boxes, logits.sigmoid(), proposals)
    assert chosen.rank_weights is None
    for row in range(SLICES):
        expected, index = selector(boxes[row], logits[row].sigmoid(), proposals.boxes[row])
        assert torch.equal(chosen.index[row], index) and torch.equal(chosen.boxes[row], expected)


def test_top_selection_ignores_empty_slots(found):
    """Slices with fewer proposals than slots, one of them without any box with an area."""
    selector, counts = TopRoISelector(), [PROPOSALS, 11, 2, 5]
    boxes, logits, proposals = found
    boxes[3, :5, 3] = boxes[3, :5, 1]
    valid = torch.arange(PROPOSALS) < torch.tensor(counts)[:, None]
    chosen = TopSelection(selector)(boxes, logits.sigmoid(), proposals._replace(valid=valid))
    for row, count in enumerate(counts):
        expected, index = selector(boxes[row, :count], logits[row, :count].sigmoid(), proposals.boxes[row, :count])
        assert torch.equal(chosen.index[row], index) and torch.equal(chosen.boxes[row], expected)
    assert torch.equal(chosen.boxes[3, 0], proposals.boxes[3, 0])


@pytest.mark.parametrize('settings', [dict(), dict(num_candidates=10, sharpness=4.0), dict(num_rois=3, nms_iou=0.5)], ids=str)
def test_soft_selection_equals_that_of_each_slice(found, settings):
    selector = SoftRoISelector(**settings)
    boxes, logits, proposals = found
    chosen = SoftSelection(selector, PROPOSALS)(boxes, logits, proposals)
    assert chosen.index.shape == (SLICES, selector.num_candidates)
    assert torch.equal(chosen.boxes, torch.stack([boxes[row, chosen.index[row]] for row in range(SLICES)]))
    for row in range(SLICES):
        index, weights = selector(boxes[row], logits[row], proposals.logits[row].sigmoid())
        # By proposal, because the order of candidates without weight is arbitrary.
        ours, theirs = (
            torch.zeros(PROPOSALS, selector.num_rois).index_add(0, *parts)
            for parts in ((chosen.index[row], chosen.rank_weights[row]), (index, weights))
        )
        assert theirs.sum() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_votes_that_overflow_stay_finite(found):
    boxes, logits, proposals = found
    chosen = SoftSelection(SoftRoISelector(), PROPOSALS)(boxes, logits * 1000, proposals)
    assert torch.isfinite(chosen.rank_weights).all() and (chosen.rank_weights.flatten(1).sum(1) > 0).all()
