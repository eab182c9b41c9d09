"""The operations of the graph, against the single-slice forms."""

import torch

from mmaffinity.deployment.boxes import descending
from mmaffinity.deployment.operations import best, kept_by_nms
from mmaffinity.ops import nms


def some_boxes(lists=3, number=40):
    corner, extent = torch.rand(2, lists, number, 2, generator=torch.Generator().manual_seed(0))
    return torch.cat([corner * 50, corner * 50 + extent * 30], -1)


def test_batched_suppression_equals_that_of_each_list():
    boxes = some_boxes()
    ranks = descending(boxes[..., 0]).clone()
    ranks[1, ::3] = 0
    kept = kept_by_nms(boxes, ranks, 0.3, 5)
    for row in range(3):
        candidates = ranks[row].nonzero().squeeze(1)
        expected = candidates[nms(boxes[row, candidates], ranks[row, candidates], 0.3, max_num=5)[1]]
        assert kept[row].nonzero().squeeze(1).tolist() == sorted(expected.tolist())
    assert kept.sum(1).tolist() == [5, 5, 5]


def test_ties_are_broken_by_index():
    values = torch.tensor([[0.5] * 40 + [1.0] + [0.5] * 40])
    ranked, index = best(values, 20)
    assert index[0].tolist() == [40, *range(19)] and ranked[0].tolist() == [1.0] + [0.5] * 19
