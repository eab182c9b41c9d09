"""Anchors against hand-written numbers, selection of RoIs against hand-written lists and plain loops."""

import math
from collections import Counter

import pytest
import torch
from mmdet.registry import TASK_UTILS
from model_helpers import brute_force_nms, model_config

from mmaffinity.models import TopRoISelector
from mmaffinity.models.task_modules import stretch_indices

SCALES, RATIOS = (2, 4, 8, 16, 32), (0.1, 0.25, 0.5, 1.0, 1.5, 2.0)
# Half width and half height of the 30 anchors, worked out apart: scale / sqrt(ratio) / 2 and scale * sqrt(ratio) / 2,
# rounded half to even (0.5 -> 0). One row per ratio, scales 2, 4, 8, 16, 32.
HALF_SIZES = [
    [(3, 0), (6, 1), (13, 1), (25, 3), (51, 5)],
    [(2, 0), (4, 1), (8, 2), (16, 4), (32, 8)],
    [(1, 1), (3, 1), (6, 3), (11, 6), (23, 11)],
    [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16)],
    [(1, 1), (2, 2), (3, 5), (7, 10), (13, 20)],
    [(1, 1), (1, 3), (3, 6), (6, 11), (11, 23)],
]


@pytest.fixture(scope='module')
def anchors():
    return TASK_UTILS.build(model_config().rpn_head.anchor_generator)


def test_base_anchors_are_the_hand_written_ones(anchors):
    expected = [(-w, -h, w, h) for row in HALF_SIZES for w, h in row]
    assert anchors.num_base_priors == [30]
    assert torch.equal(anchors.base_anchors[0], torch.tensor(expected, dtype=torch.float32))


def test_base_anchors_follow_the_formula(anchors):
    # Python's round is half to even, too. The ratio is the outer index, the scale the inner one.
    expected = [
        [round(sign * 0.5 * scale * factor) for sign in (-1, 1) for factor in (ratio**-0.5, ratio**0.5)]
        for ratio in RATIOS
        for scale in SCALES
    ]
    assert anchors.base_anchors[0].tolist() == expected
    assert round(0.5) == 0 and round(1.5) == 2  # a premise of the line above


def test_positions_are_the_corners_of_the_cells(anchors):
    grid = anchors.grid_priors([(3, 4)], device='cpu')[0]
    assert grid.shape == (3 * 4 * 30, 4)
    expected = [
        [16 * x + a, 16 * y + b, 16 * x + c, 16 * y + d]
        for y in range(3)
        for x in range(4)
        for a, b, c, d in anchors.base_anchors[0].tolist()
    ]
    assert grid.tolist() == expected
    assert grid[0].tolist() == [-3, 0, 3, 0]  # centred on the origin, not on the middle of the first cell
    assert grid[4 * 30 * 2 + 30 * 1 + 16].tolist() == [14, 30, 18, 34]  # cell (1, 2), ratio 1, scale 4


@pytest.mark.parametrize(
    'num_boxes, expected',
    [
        (1, [0, 0, 0, 0, 0, 0, 0, 0]),
        (2, [0, 0, 0, 0, 1, 1, 1, 1]),
        (3, [0, 0, 0, 1, 1, 1, 2, 2]),
        (5, [0, 0, 1, 1, 2, 3, 3, 4]),
        (7, [0, 0, 1, 2, 3, 4, 5, 6]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (20, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_even_stretch(num_boxes, expected):
    assert stretch_indices(num_boxes, 8).tolist() == expected
    assert stretch_indices(num_boxes, 8).tolist() == expected  # and again


@pytest.mark.parametrize('num_boxes', range(1, 9))
def test_even_stretch_differs_by_one_at_most(num_boxes):
    counts = Counter(stretch_indices(num_boxes, 8).tolist())
    assert sorted(counts) == list(range(num_boxes)) and max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize('num_boxes', [1, 3, 8, 20])
def test_random_stretch(num_boxes):
    torch.manual_seed(0)
    draws = [stretch_indices(num_boxes, 8, 'random').tolist() for _ in range(50)]
    for draw in draws:
        assert len(draw) == 8 and draw == sorted(draw) and draw[0] == 0
        assert set(draw) == set(range(min(num_boxes, 8)))
    distinct = {tuple(draw) for draw in draws}
    assert len(distinct) > 10 if num_boxes == 3 else len(distinct) == 1


def test_bad_stretch():
    with pytest.raises(ValueError, match="stretch must be one of .*, not 'both'"):
        stretch_indices(3, 8, 'both')
    with pytest.raises(ValueError, match='no box'):
        stretch_indices(0, 8)


def apart(num):
    """Boxes that do not touch, with falling scores dealt to them out of order."""
    boxes = torch.tensor([[20.0 * i, 5.0, 20.0 * i + 10, 20.0] for i in range(num)]).reshape(-1, 4)
    scores = torch.linspace(0.9, 0.1, num)[torch.randperm(num, generator=torch.Generator().manual_seed(num))]
    return boxes, scores


@pytest.mark.parametrize('num_boxes', [1, 3, 8, 20])
def test_best_boxes_are_selected_in_order(num_boxes):
    boxes, scores = apart(num_boxes)
    chosen, index = TopRoISelector()(boxes, scores, boxes + 1)
    ranked = scores.argsort(descending=True).tolist()
    places = {1: [0] * 8, 3: [0, 0, 0, 1, 1, 1, 2, 2]}.get(num_boxes, range(8))
    assert index.tolist() == [ranked[place] for place in places]
    assert torch.equal(chosen, boxes[index])


@pytest.mark.parametrize('num_proposals', [1, 3, 8, 20])
def test_proposals_replace_missing_boxes(num_proposals):
    proposals, scores = apart(num_proposals)
    flat = proposals.clone()
    flat[:, 3] = flat[:, 1]
    chosen, index = TopRoISelector()(flat, scores, proposals)
    assert index.tolist() == stretch_indices(num_proposals, 8).tolist()  # by objectness, not by lesion score
    assert torch.equal(chosen, proposals[index])


def test_missing_proposals_are_an_error():
    none = torch.zeros(0, 4)
    with pytest.raises(ValueError, match='no box'):
        TopRoISelector()(none, torch.zeros(0), none)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('threshold', [0.25, 0.6])
def test_nms_equals_loops(seed, threshold):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(60, 2, generator=generator) * 60
    boxes = torch.cat([corners, corners + 10 + torch.rand(60, 2, generator=generator) * 30], 1)
    scores = torch.rand(60, generator=generator)
    kept = brute_force_nms(boxes, scores, threshold)
    selector = TopRoISelector(num_rois=len(kept), nms_iou=threshold)
    chosen, index = selector(boxes, scores, boxes)
    assert index.tolist() == kept
    assert len(kept) > 8 and TopRoISelector(nms_iou=threshold)(boxes, scores, boxes)[1].tolist() == kept[:8]


def test_an_overlap_of_exactly_the_threshold_stays():
    # IoU 1/4: intersection 10 * 4 of two boxes of area 100, union 160.
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 6.0, 10.0, 16.0], [0.0, 20.0, 10.0, 30.0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert TopRoISelector(3)(boxes, scores, boxes)[1].tolist() == [0, 1, 2]
    boxes[1] -= torch.tensor([0.0, 0.01, 0.0, 0.01])
    assert TopRoISelector(3)(boxes, scores, boxes)[1].tolist() == [0, 0, 2]


def test_boxes_without_area_are_dropped():
    boxes = torch.tensor(
        [
            [0.0, 0.0, 2**-9, 2**-9],  # area 3.8e-6: dropped
            [5.0, 5.0, 5.0 + 2e-3, 15.0],  # slim, but of area 0.02
            [20.0, 20.0, 20.0, 90.0],  # clipped to the border
            [30.0, 30.0, 40.0, 40.0],
        ]
    )
    scores = torch.tensor([0.9, 0.8, 0.99, 0.1])
    assert TopRoISelector(4)(boxes, scores, boxes)[1].tolist() == [1, 1, 3, 3]
    assert TopRoISelector(4, min_area=1)(boxes, scores, boxes)[1].tolist() == [3, 3, 3, 3]
    assert TopRoISelector(4, min_area=2**-18)(boxes, scores, boxes)[1].tolist() == [1, 1, 3, 3]  # at the limit
    assert TopRoISelector(4, min_area=2**-19)(boxes, scores, boxes)[1].tolist() == [0, 0, 1, 3]


def test_low_scores_are_kept():
    boxes, scores = apart(8)
    assert sorted(TopRoISelector()(boxes, scores * 1e-6, boxes)[1].tolist()) == list(range(8))


def test_random_selector_differs_between_calls():
    torch.manual_seed(0)
    boxes, scores = apart(3)
    selector = TopRoISelector(stretch='random')
    assert len({tuple(selector(boxes, scores, boxes)[1].tolist()) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(nms_iou=1.5), r'nms_iou must be within \[0, 1\], not 1.5'),
        (dict(nms_iou=-0.1), 'nms_iou'),
        (dict(nms_iou=math.nan), 'nms_iou'),
        (dict(stretch='odd'), "stretch must be one of .*, not 'odd'"),
        (dict(num_rois=0), 'num_rois must be at least 1, not 0'),
    ],
)
def test_bad_selector(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TopRoISelector(**kwargs)


def test_equal_scores_are_ranked_by_index_unless_unstable():
    """Twenty separate boxes with equal scores are ranked by index unless the unstable sort is requested."""
    corners = torch.arange(20.0)[:, None] * 10
    boxes = torch.cat((corners, corners, corners + 5, corners + 5), 1)
    scores = torch.ones(20)
    _, index = TopRoISelector(num_rois=20)(boxes, scores, boxes)
    assert index.tolist() == list(range(20))
    _, index = TopRoISelector(num_rois=20, ties='unstable')(boxes, scores, boxes)
    assert index.tolist() == scores.sort(descending=True).indices.tolist()
    with pytest.raises(ValueError, match="ties must be one of .*not 'random'"):
        TopRoISelector(ties='random')
