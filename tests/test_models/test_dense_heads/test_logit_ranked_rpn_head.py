"""The RPN: ranking by logit, proposals and training targets, against loops and counts."""

import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from model_helpers import SIZE, brute_force_nms, decode_by_hand, model_config

pytestmark = pytest.mark.usefixtures('one_thread')

CELLS = SIZE // 16
META = dict(img_shape=(SIZE, SIZE), pad_shape=(SIZE, SIZE), batch_input_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0))


@pytest.fixture(scope='module')
def head():
    init_default_scope('mmdet')
    model = model_config()
    torch.manual_seed(0)
    return MODELS.build({**model.rpn_head, 'train_cfg': model.train_cfg.rpn, 'test_cfg': model.test_cfg.rpn})


@pytest.fixture(scope='module')
def anchors(head):
    return head.prior_generator.grid_priors([(CELLS, CELLS)], device='cpu')[0]


def maps(per_anchor):
    """From one row per anchor, in the order of the grid, to the map that a convolution gives."""
    return per_anchor.reshape(1, CELLS, CELLS, -1).permute(0, 3, 1, 2)


def propose(head, logits, deltas, cfg=None):
    return head.predict_by_feat([maps(logits)], [maps(deltas)], batch_img_metas=[META], cfg=cfg)[0]


def outputs(num, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(num, generator=generator), 0.3 * torch.randn(num, 4, generator=generator)


def test_proposals_equal_loops(head, anchors):
    logits, deltas = outputs(len(anchors))
    order = logits.argsort(descending=True)[:400]
    boxes = decode_by_hand(anchors[order], deltas[order], (SIZE, SIZE), (1, 1, 1, 1))
    kept = brute_force_nms(boxes, logits[order], 0.75)[:200]
    result = propose(head, logits, deltas)
    assert len(result) == 200
    torch.testing.assert_close(result.bboxes.double(), boxes[kept], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(result.scores, logits[order][kept].sigmoid())


def test_growth_is_limited(head, anchors):
    logits, deltas = torch.full((len(anchors),), -30.0), torch.zeros(len(anchors), 4)
    index = (4 * CELLS + 4) * 30 + 15  # the square of side 2 at the middle of the image
    logits[index], deltas[index, 2:] = 50.0, torch.tensor([99.0, 2.0])
    box = propose(head, logits, deltas).bboxes[0].tolist()
    assert box == pytest.approx([64 - 1000 / 16, 64 - math.exp(2), 64 + 1000 / 16, 64 + math.exp(2)], abs=1e-4)


def test_order_follows_the_logit_if_sigmoids_tie(head, anchors):
    logits = torch.full((len(anchors),), -30.0)
    # Square anchors of side 16, two cells apart, so that NMS removes none; later ones score higher.
    chosen = torch.tensor([(y * CELLS + x) * 30 + 18 for y in range(1, CELLS, 2) for x in range(1, CELLS, 2)])
    logits[chosen] = 40 + torch.arange(len(chosen)) / 10
    assert (logits[chosen].sigmoid() == 1).all()
    deltas = torch.zeros(len(anchors), 4)
    best = anchors[chosen.flip(0)]
    assert torch.equal(propose(head, logits, deltas).bboxes[: len(chosen)], best)
    # MMDetection's own head differs here.
    plain = MODELS.build({**model_config().rpn_head, 'type': 'RPNHead', 'test_cfg': model_config().test_cfg.rpn})
    other = propose(plain, logits, deltas)
    assert not torch.equal(other.bboxes[: len(chosen)], best)


def test_nms_ranks_by_logit_too(head, anchors):
    logits, deltas = torch.full((len(anchors),), -30.0), torch.zeros(len(anchors), 4)
    cell = (3 * CELLS + 3) * 30
    logits[cell + 18], logits[cell + 19] = 50.0, 51.0
    # Two anchors moved onto nearly the same box: the higher logit must win although both sigmoids are 1.
    deltas[cell + 18] = torch.tensor([0.0, 0.0, math.log(2), math.log(2)])
    result = propose(head, logits, deltas)
    assert torch.equal(result.bboxes[0], anchors[cell + 19])
    assert (result.bboxes == anchors[cell + 19]).all(1).sum() == 1


def test_boxes_clipped_to_no_area_are_kept(head, anchors):
    logits, deltas = outputs(len(anchors))
    deltas[:, 0] = 1e6  # all far to the right: clipped to the border
    result = propose(head, logits, deltas)
    wide = anchors[:, 2] > anchors[:, 0]
    assert wide.all() and (result.bboxes[:, 0] == SIZE).all() and (result.bboxes[:, 2] == SIZE).all()
    # Boxes without area overlap nothing, so the best 200 stay in order.
    torch.testing.assert_close(result.scores, logits.sort(descending=True).values[:200].sigmoid())


def test_few_anchors_and_no_limit(head):
    logits, deltas = outputs(CELLS * CELLS * 30)
    cfg = model_config().test_cfg.rpn
    cfg.nms_pre = -1
    cfg.max_per_img = 10000
    cfg.nms.iou_threshold = 1.0
    assert len(propose(head, logits, deltas, cfg)) == len(logits)
    cfg.nms_pre = 5
    assert len(propose(head, logits, deltas, cfg)) == 5


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


def assignment(anchors, lesions):
    """1 positive, 0 negative, -1 neither, and the lesion of each positive: by loops over all pairs."""
    table = [[iou(a, g) for g in lesions] for a in anchors.tolist()]
    best_of_lesion = [max(row[g] for row in table) for g in range(len(lesions))]
    labels, lesion = [], []
    for row in table:
        label = 1 if max(row) >= 0.7 else 0 if max(row) < 0.3 else -1
        target = row.index(max(row))
        for g, best in enumerate(best_of_lesion):
            if best > 0 and row[g] == best:
                label, target = 1, g
        labels.append(label)
        lesion.append(target)
    return torch.tensor(labels), torch.tensor(lesion)


LESIONS = [[20.0, 24.0, 60.0, 70.0], [70.0, 80.0, 112.0, 100.0], [90.0, 3.0, 97.0, 6.0]]


@pytest.mark.parametrize('lesions', [LESIONS, [[0.0, 0.0, 127.0, 127.0]], [[5.0, 5.0, 6.0, 6.0]]])
def test_training_targets_and_losses(head, anchors, lesions):
    labels, lesion = assignment(anchors, lesions)
    assert (labels == 1).sum() >= len(lesions)  # also where no anchor fits well
    truth = InstanceData(bboxes=torch.tensor(lesions), labels=torch.zeros(len(lesions), dtype=torch.long))
    assigned = head.assigner.assign(InstanceData(priors=anchors), truth)
    got = torch.where(assigned.gt_inds > 0, 1, assigned.gt_inds)
    assert torch.equal(got, labels)
    assert torch.equal(assigned.gt_inds[labels == 1] - 1, lesion[labels == 1])

    # With all outputs zero: BCE is log 2, L1 the sum of the targets' magnitudes over the 256 sampled anchors.
    zero = torch.zeros(len(anchors))
    losses = head.loss_by_feat([maps(zero)], [maps(zero[:, None].expand(-1, 4))], [truth], [META])
    magnitude = 0.0
    for index in (labels == 1).nonzero().squeeze(1).tolist():
        (a, b, c, d), (x1, y1, x2, y2) = anchors[index].tolist(), lesions[lesion[index]]
        magnitude += abs(((x1 + x2) - (a + c)) / 2 / (c - a)) + abs(((y1 + y2) - (b + d)) / 2 / (d - b))
        magnitude += abs(math.log((x2 - x1) / (c - a))) + abs(math.log((y2 - y1) / (d - b)))
    assert losses['loss_rpn_cls'][0].item() == pytest.approx(math.log(2), rel=1e-5)
    assert losses['loss_rpn_bbox'][0].item() == pytest.approx(magnitude / 256, rel=1e-4)


def test_anchors_beyond_the_border_are_used(head, anchors):
    outside = (anchors[:, 0] < 0) | (anchors[:, 1] < 0) | (anchors[:, 2] > SIZE) | (anchors[:, 3] > SIZE)
    truth = InstanceData(bboxes=torch.tensor(LESIONS), labels=torch.zeros(3, dtype=torch.long))
    _, weights, *_ = head.get_targets([[anchors]], [[torch.ones(len(anchors), dtype=torch.bool)]], [truth], [META])
    sampled = weights[0][0] > 0
    assert sampled.sum() == 256 and (sampled & outside).any()


def test_a_lesion_without_area_has_no_anchors(head, anchors):
    """Its best IoU is 0, which every anchor has; MMDetection would make all of them positive at min_pos_iou=0."""
    lesions = torch.tensor([LESIONS[0], [30.0, 30.0, 30.0, 60.0]])
    truth = InstanceData(bboxes=lesions, labels=torch.zeros(2, dtype=torch.long))
    assert set(head.assigner.assign(InstanceData(priors=anchors), truth).gt_inds.tolist()) == {-1, 0, 1}


def test_at_most_three_quarters_positive(head):
    assert (head.sampler.num, head.sampler.pos_fraction, head.sampler.neg_pos_ub) == (256, 0.75, -1)
    priors = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(300, 1)
    priors[250:] += 50
    truth = InstanceData(bboxes=priors[:1], labels=torch.zeros(1, dtype=torch.long))
    instances = InstanceData(priors=priors)
    result = head.sampler.sample(head.assigner.assign(instances, truth), instances, truth)
    assert (len(result.pos_inds), len(result.neg_inds)) == (192, 50)


def test_no_lesion_at_all(head, anchors):
    truth = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    zero = torch.zeros(len(anchors))
    losses = head.loss_by_feat([maps(zero)], [maps(zero[:, None].expand(-1, 4))], [truth], [META])
    assert losses['loss_rpn_bbox'][0] == 0
    # MMDetection counts at least one positive in its divisor, so 256 negatives are divided by 257.
    assert losses['loss_rpn_cls'][0].item() == pytest.approx(256 / 257 * math.log(2), rel=1e-5)
