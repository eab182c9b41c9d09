"""SoftRoISelector against loops, in limiting cases, and its continuity where TopRoISelector is discontinuous."""

import math

import pytest
import torch

from mmaffinity.models import SoftRoISelector, TopRoISelector
from mmaffinity.models.task_modules.soft_roi_selector import fade

BETA = 4


def boxes_of(num, seed=0, dtype=torch.float64):
    """Overlapping boxes, their logits, and objectness by which they are not sorted."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(num, 2, generator=generator, dtype=dtype) * 60
    boxes = torch.cat([corners, corners + 10 + torch.rand(num, 2, generator=generator, dtype=dtype) * 30], 1)
    return boxes, torch.randn(num, generator=generator, dtype=dtype) * 2, torch.rand(num, generator=generator, dtype=dtype)


def apart(logits):
    """Boxes that do not touch; the last one, at the cut of the proposals, has no weight."""
    boxes = torch.tensor([[20.0 * i, 5.0, 20.0 * i + 10, 20.0] for i in range(len(logits) + 1)])
    return boxes, torch.tensor([*logits, -99.0]), torch.tensor([1.0] * len(logits) + [1e-9])


def iou(a, b):
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def by_hand(boxes, logits, objectness, num_rois, num_candidates, threshold=0.25, alpha=16.0):
    """The equations of the docstring, one sum at a time."""
    boxes, logits, objectness = boxes.tolist(), logits.tolist(), objectness.tolist()
    every, cut = range(len(boxes)), min(objectness)
    q = [(1 - cut / o) * min(1.0, (b[2] - b[0]) * (b[3] - b[1])) for o, b in zip(objectness, boxes)]
    s = [q[i] / (1 + math.exp(-logits[i])) for i in every]
    u = [(s[i] / (1 - s[i])) ** alpha for i in every]
    g = [[1.0 if i == j else min(1.0, iou(boxes[i], boxes[j]) / (2 * threshold)) for j in every] for i in every]
    a = [s[i] * u[i] / sum(g[i][j] * u[j] for j in every) if u[i] else 0.0 for i in every]
    r = [sum((1 - g[i][j]) * a[j] * u[j] / (u[i] + u[j]) for j in every if u[i] + u[j]) for i in every]
    dealt = [[a[i] * max(0.0, 1 - abs(r[i] - k)) for k in range(num_rois)] for i in every]
    total = [sum(row) for row in dealt]
    order = sorted(every, key=lambda i: -total[i])
    t = total[order[num_candidates]] if len(order) > num_candidates else 0.0
    return order[:num_candidates], [[(1 - t / (total[i] or 1)) * value for value in dealt[i]] for i in order[:num_candidates]]


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('num_candidates', [4, 6, 40])
def test_equals_the_sums(seed, num_candidates):
    given = boxes_of(40, seed)
    index, weights = SoftRoISelector(BETA, num_candidates)(*given)
    expected, dealt = by_hand(*given, BETA, num_candidates)
    weighty = [k for k, row in enumerate(dealt) if sum(row) > 1e-12]
    assert index[weighty].tolist() == [expected[k] for k in weighty] and len(weighty) >= min(num_candidates, 10)
    torch.testing.assert_close(weights, torch.tensor(dealt, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    single = SoftRoISelector(BETA, num_candidates)(*(value.float() for value in given))
    torch.testing.assert_close(single.rank_weights.double(), weights, rtol=1e-3, atol=1e-5)


def test_clear_lesions_get_the_ranks_of_the_hard_selection():
    boxes, logits, objectness = apart([8.0, 12.0, 10.0])
    index, weights = SoftRoISelector(BETA, 5)(boxes, logits, objectness)
    hard = TopRoISelector(3)(boxes, logits.sigmoid(), boxes)[1]
    taken = {int(i): row.argmax().item() for i, row in zip(index, weights) if row.sum() > 0.9}
    assert [taken[i] for i in hard.tolist()] == [0, 1, 2] and len(taken) == 3
    assert weights.max(1).values.topk(3).values.min() > 0.99


def test_the_better_of_two_overlapping_boxes_prevails_and_equal_ones_share():
    boxes = torch.tensor([[0.0, 0.0, 20.0, 20.0], [0.0, 2.0, 20.0, 22.0], [60.0, 60.0, 80.0, 80.0]])  # IoU 9 / 11
    objectness = torch.tensor([1.0, 1.0, 1e-9])
    for logits, shares in (([6.0, 3.0, -99.0], [1.0, 0.0]), ([6.0, 6.0, -99.0], [0.5, 0.5])):
        index, weights = SoftRoISelector(BETA)(boxes, torch.tensor(logits), objectness)
        found = {int(i): float(row.sum()) for i, row in zip(index, weights) if row.sum()}
        expected = [share / (1 + math.exp(-logit)) for share, logit in zip(shares, logits)]
        assert [found[0], found[1]] == pytest.approx(expected, abs=1e-5)
        assert weights[:, 1:].sum() < 1e-3  # one lesion, the first rank


def test_weights_vanish_without_lesions():
    boxes, _, objectness = boxes_of(50)
    _, weights = SoftRoISelector()(boxes, torch.full((50,), -9.0, dtype=torch.float64), objectness)
    assert 0 < weights.sum() < 50 * math.exp(-9)


def test_missing_candidates_are_padded_with_zero_weight():
    boxes, logits, objectness = apart([3.0, 1.0])
    index, weights = SoftRoISelector(BETA, 6)(boxes, logits, objectness)
    assert index.shape == (6,) and weights.shape == (6, BETA)
    assert (weights.sum(1) > 0).tolist() == [True, True, False, False, False, False]
    with pytest.raises(ValueError, match='no box'):
        SoftRoISelector()(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0))


@pytest.mark.parametrize('logit', [-200.0, 200.0])
def test_extreme_scores_stay_finite(logit):
    boxes, logits, objectness = boxes_of(30, dtype=torch.float32)
    boxes[3, 2] = boxes[3, 0]  # no area
    logits[::2] = logit
    objectness[:5] = 0.0
    weights = SoftRoISelector()(boxes, logits, objectness).rank_weights
    assert torch.isfinite(weights).all() and (weights >= 0).all() and weights.sum(1).max() <= 1


def answer(selector, boxes, logits, objectness):
    """A slice vector as the affinity layer forms it: RoI vectors that depend on the box, weighted by rank."""
    chosen = selector(boxes, logits, objectness)
    vectors = torch.stack([boxes[chosen.index].sin().sum(1), boxes[chosen.index].cos().sum(1)], 1)
    return (chosen.rank_weights.t() @ vectors).flatten()


# Changes of the proposals along a path, with the discontinuity of the hard selection.
def through_a_tie(t):
    boxes, _, objectness = apart([0.0] * 6)
    return boxes.double(), torch.tensor([3.0, 2.0, 1.0 + t, 1.0, -1.0, -2.0, -9.0], dtype=torch.float64), objectness.double()


def through_the_threshold_of_iou(t):
    boxes, logits, objectness = through_a_tie(-0.5)
    boxes[1] = torch.tensor([0.0, 14.0 + t, 10.0, 29.0 + t])  # with box 0, 0 5 10 20, an IoU of 6 / 24 at t = 0
    return boxes, logits, objectness


def through_the_last_place(t):
    boxes, logits, objectness = boxes_of(20, 3)
    return boxes, logits + t * torch.linspace(-1, 1, 20, dtype=torch.float64), objectness


def through_the_cut_of_the_proposals(t):
    boxes, logits, objectness = boxes_of(20, 4)
    return boxes, logits, (objectness + t * torch.linspace(1, -1, 20, dtype=torch.float64)).clamp(min=0.01)


def through_no_area(t):
    boxes, logits, objectness = through_a_tie(-0.5)
    boxes[0, 2] = boxes[0, 0] + max(0.0, t)
    return boxes, logits, objectness


@pytest.mark.parametrize(
    'path',
    [through_a_tie, through_the_threshold_of_iou, through_the_last_place, through_the_cut_of_the_proposals, through_no_area],
)
def test_output_is_continuous(path):
    """Steps a tenth as long change the output by about a tenth at most, unlike at a discontinuity."""
    selector = SoftRoISelector(BETA, 5)

    def largest(num):
        values = torch.stack([answer(selector, *path(t)) for t in torch.linspace(-0.1, 0.1, num + 1).tolist()])
        return values.diff(dim=0).abs().max().item()

    coarse, fine = largest(100), largest(1000)
    assert 0 < fine < coarse / 4


@pytest.mark.parametrize('seed', range(5))
def test_sensitivity_to_a_logit_is_bounded_by_sharpness(seed):
    boxes, logits, objectness = boxes_of(30, seed)
    selector, step = SoftRoISelector(BETA, 30), 1e-6

    def weights(logits, objectness):
        chosen = selector(boxes, logits, objectness)
        found = torch.zeros(30, dtype=torch.float64)
        return found.index_put((chosen.index,), chosen.rank_weights.sum(1))

    before, steepest = weights(logits, objectness), 0.0
    for j in range(30):
        changed = logits.clone(), objectness.clone()
        changed[0][j] += step
        changed[1][j] *= math.exp(step)
        for moved in (weights(changed[0], objectness), weights(logits, changed[1])):
            steepest = max(steepest, ((moved - before).abs().max() / step).item())
    assert 0.1 < steepest < selector.sharpness


def test_hard_selection_is_discontinuous():
    """The test above can fail: here, two boxes swap places abruptly."""
    boxes, logits, _ = (value.float() for value in through_a_tie(1e-6))
    other = through_a_tie(-1e-6)[1].float()
    selector = TopRoISelector(3)
    assert not torch.equal(selector(boxes, logits.sigmoid(), boxes)[1], selector(boxes, other.sigmoid(), boxes)[1])


def test_fade():
    values = torch.tensor([4.0, 1.0, 2.0, 0.0])
    assert fade(values, 2).tolist() == [0.75, 0.0, 0.5, 0.0]
    assert fade(values, 4).tolist() == [1.0] * 4
    assert fade(torch.zeros(3), 1).tolist() == [1.0, 1.0, 1.0]  # times zero


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_rois=0), 'num_rois must be at least 1, not 0'),
        (dict(nms_iou=0), r'nms_iou of SoftRoISelector must be in \(0, 0.5\], not 0'),
        (dict(nms_iou=0.75), 'not 0.75'),
        (dict(sharpness=0.0), 'sharpness must be positive, not 0.0'),
        (dict(sharpness=math.nan), 'not nan'),
        (dict(num_candidates=3), 'num_candidates must be at least the 8 ranks, not 3'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SoftRoISelector(**kwargs)
