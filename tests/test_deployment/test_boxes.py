"""Boxes of a batch, against loops and the heads they copy."""

import pytest
import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder, TBLRBBoxCoder
from model_helpers import SIZE, batch, build_model, decode_by_hand, slice_sample

from mmaffinity.deployment.boxes import BoxDecoder, ProposalLayer, compact, descending, take
from mmaffinity.models import WeightedBoxCoder


def some_boxes(lists=3, number=20):
    corner, extent = torch.rand(2, lists, number, 2, generator=torch.Generator().manual_seed(0))
    return torch.cat([corner * 50, corner * 50 + extent * 30], -1)


def test_kept_entries_move_to_the_front_in_order():
    kept = torch.tensor([[0.0, 1, 0, 1, 1], [0, 0, 0, 0, 1]])
    index, valid = compact(kept, descending(kept), 3)
    assert index[0].tolist() == [1, 3, 4] and index[1, 0] == 4
    assert valid.tolist() == [[True, True, True], [True, False, False]]


@pytest.mark.parametrize(
    'coder, stds',
    [
        (DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2)), (0.1, 0.1, 0.2, 0.2)),
        (WeightedBoxCoder((10.0, 10.0, 5.0, 4.0)), (0.1, 0.1, 0.2, 0.25)),
    ],
)
def test_boxes_are_decoded_and_clipped(coder, stds):
    """Also deltas beyond the limit of growth, and boxes across the border of a slice that is not square."""
    boxes = some_boxes()
    deltas = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(1)) * torch.tensor([8.0, 8.0, 4.0, 40.0])
    decode = BoxDecoder(coder, height=40, width=64)
    found = decode(boxes, deltas)
    for row in range(3):
        expected = decode_by_hand(boxes[row], deltas[row], (40, 64), stds)
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-4, atol=1e-3)
    assert found[..., 2].max() == 64 and found[..., 3].max() == 40
    several = decode(boxes[:, :, None], torch.stack([deltas, -deltas], 2))  # of two classes
    torch.testing.assert_close(several, torch.stack([found, decode(boxes, -deltas)], 2))


@pytest.mark.parametrize(
    'coder', [TBLRBBoxCoder(), DeltaXYWHBBoxCoder(add_ctr_clamp=True), DeltaXYWHBBoxCoder(clip_border=False)]
)
def test_other_coders_are_rejected(coder):
    with pytest.raises(ValueError, match=f'a bbox_coder of type {type(coder).__name__} with these settings cannot be exported'):
        BoxDecoder(coder, SIZE, SIZE)


def test_means_are_added_to_deltas():
    coder = DeltaXYWHBBoxCoder(target_means=(0.1, -0.2, 0.3, 0.0), target_stds=(0.5, 0.5, 0.25, 0.25))
    (boxes,), deltas = some_boxes(1), torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    expected = decode_by_hand(boxes, deltas + torch.tensor([0.2, -0.4, 1.2, 0.0]), (SIZE, SIZE), (0.5, 0.5, 0.25, 0.25))
    torch.testing.assert_close(BoxDecoder(coder, SIZE, SIZE)(boxes, deltas).double(), expected, rtol=1e-4, atol=1e-3)


def test_rows_are_taken_from_their_own_list():
    values, index = torch.arange(24.0).view(2, 4, 3), torch.tensor([[3, 0], [1, 1]])
    assert take(values, index).tolist() == [[[9, 10, 11], [0, 1, 2]], [[15, 16, 17], [15, 16, 17]]]


@torch.no_grad()
@pytest.mark.parametrize(
    'overrides, full',
    [
        ({}, True),
        ({'test_cfg.rpn.nms_pre': 30, 'test_cfg.rpn.max_per_img': 6}, True),
        ({'test_cfg.rpn.nms.iou_threshold': 0.05}, False),
        ({'test_cfg.rpn.nms.iou_threshold': 1.0}, True),
    ],
)
def test_proposals_equal_those_of_the_rpn(overrides, full):
    model = build_model(overrides).eval()
    data = model.data_preprocessor(batch(slice_sample(), slice_sample(), seed=3))
    x = model.extract_feat(data['inputs'])
    found = ProposalLayer(model.rpn_head, SIZE, SIZE, tuple(x[0].shape[-2:]))(x[0])
    filled = torch.ones_like(found.logits, dtype=torch.bool) if found.valid is None else found.valid
    for row, expected in enumerate(model._propose(x, data['data_samples'])):
        number = len(expected)
        assert filled[row].tolist() == [True] * number + [False] * (filled.shape[1] - number)
        assert (number == filled.shape[1]) == full
        torch.testing.assert_close(found.boxes[row, :number], expected.bboxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.logits[row, :number].sigmoid(), expected.scores, rtol=1e-4, atol=1e-5)


def test_other_rpn_heads_are_rejected():
    head = build_model({'rpn_head.type': 'RPNHead'}).rpn_head
    with pytest.raises(ValueError, match='an rpn_head of type RPNHead cannot be exported, only LogitRankedRPNHead'):
        ProposalLayer(head, SIZE, SIZE, (8, 8))
