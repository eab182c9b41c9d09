"""The mask heads of the two branches: features, soft and binary targets, loss, against loops."""

import math

import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmengine.config import ConfigDict
from model_helpers import SIZE, lesion_sample
from torch.nn.functional import binary_cross_entropy_with_logits, conv2d, conv_transpose2d

from mmaffinity.models import LesionMaskHead, MaskFeatureHead, PooledMaskFeatureHead

MASK = dict(num_convs=1, in_channels=16, conv_out_channels=16, num_classes=1)


def test_mask_feature_head_is_the_mask_head_without_logits():
    torch.manual_seed(0)
    lesion, feature = LesionMaskHead(**MASK), MaskFeatureHead(**MASK)
    assert not [name for name, _ in feature.named_parameters() if 'logits' in name]
    feature.load_state_dict({k: v for k, v in lesion.state_dict().items() if 'logits' not in k})
    x = torch.randn(3, 16, 14, 14)
    out = feature(x)
    assert out.shape == (3, 16, 28, 28) and (out >= 0).all()
    torch.testing.assert_close(lesion.conv_logits(out), lesion(x))


def test_pooled_features_are_mean_and_maximum():
    torch.manual_seed(0)
    maps, pooled = MaskFeatureHead(**MASK), PooledMaskFeatureHead(**MASK)
    pooled.load_state_dict(maps.state_dict())
    x = torch.randn(3, 16, 14, 14)
    expected, found = maps(x), pooled(x)
    assert found.shape == (3, 32, 1, 1)
    for roi in range(3):
        for channel in range(16):
            values = expected[roi, channel].flatten().tolist()
            assert found[roi, channel].item() == pytest.approx(sum(values) / len(values), abs=1e-6)
            assert found[roi, 16 + channel].item() == max(values)


def test_extra_convolution_comes_before_the_relu():
    torch.manual_seed(0)
    head = MaskFeatureHead(**MASK, extra_conv=True)
    head.init_weights()
    assert (head.extra_conv.bias == 0).all() and (head.upsample.bias == 0).all()
    x = torch.randn(2, 16, 14, 14)
    y = conv2d(x, head.convs[0].conv.weight, head.convs[0].conv.bias, padding=1).clamp(min=0)
    y = conv_transpose2d(y, head.upsample.weight, head.upsample.bias, stride=2)  # no ReLU in between
    y = conv2d(y, head.extra_conv.weight, head.extra_conv.bias, padding=1).clamp(min=0)
    torch.testing.assert_close(head(x), y, rtol=1e-5, atol=1e-5)


def test_features_come_from_the_transposed_convolution_only():
    with pytest.raises(ValueError, match="upsamples by 'deconv' only, not 'bilinear'"):
        MaskFeatureHead(**MASK, upsample_cfg=dict(type='bilinear', scale_factor=2))


def roi_align_by_loops(mask, box, size):
    """RoIAlign as the published code has it: not half-pixel aligned, as many samples per bin as it has pixels."""

    def bilinear(y, x):
        if y < -1 or y > mask.shape[0] or x < -1 or x > mask.shape[1]:
            return 0.0
        total = 0.0
        y, x = max(y, 0.0), max(x, 0.0)
        y0, x0 = min(int(y), mask.shape[0] - 1), min(int(x), mask.shape[1] - 1)
        y1, x1 = min(y0 + 1, mask.shape[0] - 1), min(x0 + 1, mask.shape[1] - 1)
        dy, dx = (0.0 if y0 == y1 else y - y0), (0.0 if x0 == x1 else x - x0)
        for yy, wy in ((y0, 1 - dy), (y1, dy)):
            for xx, wx in ((x0, 1 - dx), (x1, dx)):
                total += wy * wx * float(mask[yy, xx])
        return total

    x1, y1, x2, y2 = box
    width, height = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    nx, ny = math.ceil(width / size), math.ceil(height / size)
    out = torch.zeros(size, size)
    for i in range(size):
        for j in range(size):
            samples = [
                bilinear(y1 + (i + (a + 0.5) / ny) * height / size, x1 + (j + (b + 0.5) / nx) * width / size)
                for a in range(ny)
                for b in range(nx)
            ]
            out[i, j] = sum(samples) / len(samples)
    return out


def sampling(priors, lesion_indices, boxes):
    """A SamplingResult of these positive RoIs."""

    class Assigned:
        gt_inds = torch.tensor(lesion_indices, dtype=torch.long) + 1
        labels = torch.zeros(len(lesion_indices), dtype=torch.long)

    index = torch.arange(len(priors))
    return SamplingResult(index, index[:0], priors, boxes, Assigned(), torch.zeros(len(priors), dtype=torch.uint8))


def mask_case():
    sample = lesion_sample()
    truth = sample.gt_instances
    rows = torch.arange(SIZE)
    for mask in truth.masks.masks:  # not only rectangles
        mask[(rows[:, None] + 2 * rows[None]).numpy() % 7 == 0] = 0
    priors = torch.tensor(
        [[18.3, 22.1, 61.7, 72.9], [64.0, 16.0, 80.0, 40.0], [100.0, 90.0, 127.9, 127.5], [70.2, 80.4, 70.9, 81.0]]
    )
    return truth, priors, [0, 2, 1, 1]


@pytest.mark.parametrize('size', [4, 28])
def test_soft_mask_targets_equal_loops(size):
    truth, priors, indices = mask_case()
    head = LesionMaskHead(**MASK, soft_targets=True)
    results = [sampling(priors, indices, truth.bboxes), sampling(priors[:0], [], truth.bboxes)]
    targets = head.get_targets(results, [truth, truth], ConfigDict(mask_size=size))
    expected = torch.stack([roi_align_by_loops(truth.masks.masks[i], box, size) for box, i in zip(priors.tolist(), indices)])
    assert targets.shape == (4, size, size)
    torch.testing.assert_close(targets, expected, rtol=1e-4, atol=1e-4)
    assert ((targets > 0.01) & (targets < 0.99)).any()


def test_default_mask_targets_equal_mmdetection():
    truth, priors, indices = mask_case()
    results, cfg = [sampling(priors, indices, truth.bboxes)], ConfigDict(mask_size=28)
    targets = LesionMaskHead(**MASK).get_targets(results, [truth], cfg)
    assert torch.equal(targets, FCNMaskHead(**MASK).get_targets(results, [truth], cfg))
    assert set(targets.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize('soft', [False, True])
def test_mask_loss_is_the_mean_cross_entropy(soft):
    truth, priors, indices = mask_case()
    head = LesionMaskHead(**MASK, soft_targets=soft, loss_mask=dict(type='CrossEntropyLoss', use_mask=True))
    results, cfg = [sampling(priors, indices, truth.bboxes)], ConfigDict(mask_size=28)
    logits = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    loss = head.loss_and_target(logits, results, [truth], cfg)['loss_mask']['loss_mask']
    targets = head.get_targets(results, [truth], cfg)
    p = logits[:, 0].double().sigmoid()
    expected = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.item() == pytest.approx(binary_cross_entropy_with_logits(logits[:, 0], targets).item(), rel=1e-5)


def test_loss_without_positives_is_a_differentiable_zero():
    for soft in (False, True):
        head = LesionMaskHead(**MASK, soft_targets=soft)
        truth = lesion_sample([]).gt_instances
        results = [sampling(torch.zeros(0, 4), [], truth.bboxes)]
        loss = head.loss_and_target(head(torch.zeros(0, 16, 14, 14)), results, [truth], ConfigDict(mask_size=28))
        loss['loss_mask']['loss_mask'].backward()
        assert loss['loss_mask']['loss_mask'] == 0 and head.convs[0].conv.weight.grad.abs().sum() == 0
