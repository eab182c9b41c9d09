"""Suppression against mmcv's compiled operation, its recorded results and plain loops."""

import numpy as np
import pytest
import torch
from model_helpers import brute_force_nms
from operation_cases import BATCHED_OPTIONS, KINDS, NMS_OPTIONS, RECORDED, boxes_of, groups

from mmaffinity.ops import SUPPRESSIONS, batched_nms, is_compiled, nms
from mmaffinity.ops.nms import BLOCK


@pytest.fixture(scope='module')
def compiled():
    if not is_compiled():
        pytest.skip('mmcv is installed without compiled operations')
    return __import__('mmcv.ops').ops


@pytest.fixture(scope='module')
def recorded():
    with np.load(RECORDED) as content:
        return {name: torch.from_numpy(content[name]) for name in content.files if name != 'version'}


def same(found, expected):
    return all(torch.equal(ours.nan_to_num(), theirs.nan_to_num()) for ours, theirs in zip(found, expected))


@pytest.mark.parametrize('kind', KINDS)
def test_equals_recorded_mmcv_results(recorded, kind):
    boxes, scores = recorded[f'boxes {kind}'], recorded[f'scores {kind}']
    for number, options in enumerate(NMS_OPTIONS):
        dets, kept = nms(boxes, scores, 0.25, **options)
        assert torch.equal(kept, recorded[f'nms {kind} {number}']), options
        assert same([dets], [torch.cat((boxes[kept], scores[kept, None]), 1)])
    for number, options in enumerate(BATCHED_OPTIONS):
        _, kept = batched_nms(boxes, scores, groups(40, 4), {'iou_threshold': 0.25, **options})
        assert torch.equal(kept, recorded[f'batched {kind} {number}']), options


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('num', [0, 1, 2, 17, 130, 3 * BLOCK + 5])
def test_equals_mmcv(compiled, kind, num):
    for seed, threshold in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        boxes, scores = boxes_of(kind, num, seed)
        for options in NMS_OPTIONS:
            assert same(nms(boxes, scores, threshold, **options), compiled.nms(boxes, scores, threshold, **options)), options


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind != 'not a number'])
@pytest.mark.parametrize('classes', [1, 4, 80])
def test_batched_equals_mmcv(compiled, kind, classes):
    for seed, num in enumerate((1, 9, 60, 700)):
        boxes, scores = boxes_of(kind, num, seed)
        for options in (*BATCHED_OPTIONS, None):
            options = None if options is None else {'iou_threshold': 0.4, **options}
            expected = compiled.batched_nms(boxes, scores, groups(num, classes), options)
            assert same(batched_nms(boxes, scores, groups(num, classes), options), expected), options


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('threshold', [0.25, 0.5, 0.7])
def test_equals_loops(dtype, threshold):
    boxes, scores = boxes_of('random', 80)
    boxes, scores = boxes.to(dtype), scores.to(dtype)
    dets, kept = nms(boxes, scores, threshold)
    assert kept.tolist() == brute_force_nms(boxes, scores, threshold) and dets.dtype == dtype


def test_a_chain_of_boxes_takes_many_iterations():
    """Every box overlaps only the next one, so every other one is kept, and each decision depends on all before it."""
    num = 2 * BLOCK + 100
    x = torch.arange(num) * 5.0
    boxes = torch.stack([x, torch.zeros(num), x + 9, torch.ones(num)], 1)
    assert torch.equal(nms(boxes, -x, 0.2)[1], torch.arange(0, num, 2))


def test_ties_are_broken_by_index():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(100, 1) + torch.arange(100)[:, None] % 4 * 50
    scores = torch.full((100,), 0.5)
    assert nms(boxes, scores, 0.5)[1].tolist() == [0, 1, 2, 3]
    for options in (dict(iou_threshold=0.5), dict(iou_threshold=0.5, split_thr=10)):
        assert batched_nms(boxes, scores, torch.arange(100) % 2, options)[1].tolist() == [0, 1, 2, 3], options
    assert batched_nms(boxes, scores, torch.zeros(100), None)[1].tolist() == list(range(100))


def test_long_lists_need_little_memory():
    """A matrix of all pairs would have 10^8 entries of 4 bytes, several times over."""
    boxes, scores = boxes_of('random', 10000)
    with torch.profiler.profile(profile_memory=True) as profile:
        nms(boxes * 20, scores, 0.7)
    largest = max(event.cpu_memory_usage for event in profile.events() if event.name == 'aten::empty')
    assert largest < 100e6


def test_no_boxes():
    for found in (
        nms(torch.zeros(0, 4), torch.zeros(0), 0.5),
        batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), dict(iou_threshold=0.5)),
        batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), None),
    ):
        assert [tuple(part.shape) for part in found] == [(0, 5), (0,)] and found[1].dtype == torch.long


def test_scores_keep_their_gradient():
    boxes, scores = boxes_of('random', 30)
    boxes, scores = boxes.requires_grad_(), scores.requires_grad_()
    dets, kept = nms(boxes, scores, 0.5)
    dets.sum().backward()
    expected = torch.zeros(30).index_fill_(0, kept, 1.0)
    assert torch.equal(scores.grad, expected) and torch.equal(boxes.grad, expected[:, None].expand(30, 4))


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16])
def test_mixed_precision(precision):
    boxes, scores = boxes_of('random', 60)
    expected = nms(boxes, scores, 0.5)[1]
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(nms(boxes, scores, 0.5)[1], expected)
    rounded, ranks = boxes.to(precision), scores.to(precision)
    assert torch.equal(nms(rounded, ranks, 0.5)[1], nms(rounded.float(), ranks.float(), 0.5)[1])


def test_suppression_can_be_registered_or_passed():
    @SUPPRESSIONS.register_module()
    def keep_the_best(boxes, scores, number):
        kept = scores.topk(number).indices
        return torch.cat((boxes[kept], scores[kept, None] / 2), 1), kept

    try:
        boxes, scores = boxes_of('random', 20)
        for kind in ('keep_the_best', keep_the_best):
            dets, kept = batched_nms(boxes, scores, torch.zeros(20), dict(type=kind, number=3))
            assert torch.equal(kept, scores.topk(3).indices)
            assert torch.equal(dets, torch.cat((boxes[kept], scores[kept, None] / 2), 1))
    finally:
        del SUPPRESSIONS.module_dict['keep_the_best']


def test_bad_arguments():
    boxes, scores = boxes_of('random', 4)
    with pytest.raises(ValueError, match=r'not \(4, 5\) and \(4,\)'):
        nms(torch.zeros(4, 5), scores, 0.5)
    with pytest.raises(ValueError, match='offset must be 0 or 1, not 2'):
        nms(boxes, scores, 0.5, offset=2)
    for kind in ('nmz', '__import__("os").getcwd', 'torch.ones'):
        with pytest.raises(ValueError, match="choose from 'nms'"):
            batched_nms(boxes, scores, torch.zeros(4), dict(type=kind))


def test_a_suppression_of_mmcv():
    boxes, scores = boxes_of('random', 30)
    options = dict(type='soft_nms', iou_threshold=0.3)
    if is_compiled():
        expected = __import__('mmcv.ops').ops.batched_nms(boxes, scores, groups(30, 2), options)
        assert same(batched_nms(boxes, scores, groups(30, 2), options), expected)
    else:
        with pytest.raises(ValueError, match="'soft_nms' is not an operation of this package.* are not compiled"):
            batched_nms(boxes, scores, groups(30, 2), options)
