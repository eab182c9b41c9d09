"""RoI extractors, and RoIAlign as a sparse product against the form that adds sample by sample and against plain loops."""

import copy
import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from model_helpers import build_model, images, slice_sample

from mmaffinity.models import SingleLevelRoIExtractor, SparseRoIAlign
from mmaffinity.ops import roi_align, sparse_roi_align

HEIGHT, WIDTH, STRIDE = 24, 32, 16


@pytest.fixture(scope='module', autouse=True)
def scope():
    init_default_scope('mmdet')


def features(images=2, channels=6, dtype=torch.float32, channels_last=False):
    x = torch.randn(images, channels, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)).to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def random_rois(num=60, images=2, size=120.0, seed=1):
    """RoIs of all sizes, some across the border, some far outside, and the awkward ones by name."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, generator=generator) * torch.tensor([WIDTH + 4.0, HEIGHT + 4.0]) * STRIDE - 2 * STRIDE
    extent = torch.rand(num, 2, generator=generator) ** 2 * size
    boxes = torch.cat([corner, corner + extent], 1)
    awkward = torch.tensor(
        [
            [0.0, 0.0, WIDTH * STRIDE, HEIGHT * STRIDE],
            [50.0, 60.0, 50.0, 60.0],
            [-900.0, -900.0, -800.0, -800.0],
            [WIDTH * STRIDE, HEIGHT * STRIDE, WIDTH * STRIDE, HEIGHT * STRIDE],
            [-40.0, -40.0, 900.0, 900.0],
            [32.0, 48.0, 33.0, 300.0],
            [160.0, 160.0, 176.0, 176.0],
            [80.0, 90.0, 60.0, 70.0],
        ]
    )
    boxes = torch.cat([boxes, awkward])
    return torch.cat([torch.arange(len(boxes))[:, None] % images, boxes], 1)


@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('size, ratio', [(7, 2), (14, 2), ((3, 5), 1), (4, 3)])
@pytest.mark.parametrize('channels_last', [False, True])
def test_equals_the_sum_sample_by_sample(size, ratio, aligned, channels_last):
    x = features(channels_last=channels_last).requires_grad_()
    rois = random_rois()
    size = (size, size) if isinstance(size, int) else size
    expected = roi_align(x, rois, size, 1 / STRIDE, ratio, 'avg', aligned)
    found = sparse_roi_align(x, rois, size, 1 / STRIDE, ratio, aligned)
    assert found.shape == expected.shape and found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (found, expected)]
    scale = gradients[1].abs().max()
    torch.testing.assert_close(gradients[0] / scale, gradients[1] / scale, rtol=0, atol=1e-5)


def bin_by_hand(plane, start_y, start_x, step_y, step_x, i, j, ratio):
    """Mean of the bilinear samples of one bin; plane is a list of rows."""
    height, width = len(plane), len(plane[0])
    total = 0.0
    for a in range(ratio):
        for b in range(ratio):
            y = start_y + (i + (a + 0.5) / ratio) * step_y
            x = start_x + (j + (b + 0.5) / ratio) * step_x
            if not (-1 <= y <= height and -1 <= x <= width):
                continue
            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
            y0, x0 = math.floor(y), math.floor(x)
            for yy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
                for xx, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
                    if wy * wx:
                        total += wy * wx * plane[yy][xx]
    return total / ratio**2


def test_equals_loops_in_float64():
    x = features(1, 1, torch.float64)
    for _, x1, y1, x2, y2 in random_rois(10, 1).double().tolist():
        found = sparse_roi_align(x, torch.tensor([[0.0, x1, y1, x2, y2]], dtype=torch.float64), (3, 3), 1 / STRIDE, 2, False)
        step_y, step_x = (max((b - a) / STRIDE, 1.0) / 3 for a, b in ((y1, y2), (x1, x2)))
        expected = [
            [bin_by_hand(x[0, 0].tolist(), y1 / STRIDE, x1 / STRIDE, step_y, step_x, i, j, 2) for j in range(3)]
            for i in range(3)
        ]
        torch.testing.assert_close(found[0, 0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_gradient_by_differences():
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rois = torch.tensor([[0.0, 10.0, 8.0, 70.0, 66.0], [0.0, 0.0, 0.0, 9.0, 90.0]])
    assert torch.autograd.gradcheck(lambda y: sparse_roi_align(y, rois, (2, 2), 1 / STRIDE, 2, False), x)


def test_results_are_bitwise_reproducible():
    rois = random_rois(200)
    results = []
    for _ in range(3):
        x = features(channels=16).requires_grad_()
        y = sparse_roi_align(x, rois, (7, 7), 1 / STRIDE, 2, False)
        y.square().sum().backward()
        results.append((y.detach(), x.grad))
    for y, grad in results[1:]:
        assert torch.equal(y, results[0][0]) and torch.equal(grad, results[0][1])


def test_rois_are_independent():
    x, rois = features(), random_rois()
    together = sparse_roi_align(x, rois, (7, 7), 1 / STRIDE, 2, False)
    for i in (0, 13, 61):
        assert torch.equal(sparse_roi_align(x, rois[i : i + 1], (7, 7), 1 / STRIDE, 2, False)[0], together[i])


def test_bfloat16_keeps_the_coordinates_precise():
    x = features()
    rois = random_rois()
    expected = sparse_roi_align(x.bfloat16().float(), rois, (7, 7), 1 / STRIDE, 2, False)
    found = sparse_roi_align(x.bfloat16(), rois, (7, 7), 1 / STRIDE, 2, False)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected.bfloat16(), rtol=0, atol=0)


def test_non_finite_rois_do_not_read_out_of_bounds():
    y = sparse_roi_align(features(), torch.tensor([[0.0, math.nan, 1.0, 2.0, 3.0], [1.0, 1.0, math.inf, 2.0, 3.0]]), (7, 7))
    assert y.shape == (2, 6, 7, 7)


# --- the layer and the extractor ---------------------------------------------------------------------------------------


def extractor(**roi_layer):
    layer = {**dict(type='SparseRoIAlign', output_size=7, sampling_ratio=2, aligned=False), **roi_layer}
    return MODELS.build(dict(type='SingleLevelRoIExtractor', roi_layer=layer, out_channels=6, featmap_strides=[STRIDE]))


def test_extractor_equals_mmdet():
    x, rois = features(), random_rois()
    reference = MODELS.build(
        dict(
            type='SingleRoIExtractor',
            out_channels=6,
            featmap_strides=[STRIDE],
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2, aligned=False),
        )
    )
    torch.testing.assert_close(extractor()([x], rois), reference([x], rois), rtol=0, atol=1e-5)
    torch.testing.assert_close(extractor(type='RoIAlign')([x], rois), reference([x], rois), rtol=0, atol=0)
    big = random_rois()[:60]
    scaled = reference.roi_rescale(big, 1.5)
    torch.testing.assert_close(extractor()([x], big, roi_scale_factor=1.5), reference([x], scaled), rtol=0, atol=1e-5)
    assert isinstance(extractor().roi_layers[0], SparseRoIAlign) and not list(extractor().state_dict())


@pytest.mark.parametrize('changes', [dict(sampling_ratio=0), dict(pool_mode='max')])
def test_unsupported_cases_fall_back_to_the_plain_form(changes):
    x, rois = features(), random_rois()
    settings = {**dict(sampling_ratio=2, pool_mode='avg'), **changes}
    expected = roi_align(x, rois, (7, 7), 1 / STRIDE, settings['sampling_ratio'], settings['pool_mode'], False)
    torch.testing.assert_close(extractor(**changes)([x], rois), expected, rtol=0, atol=0)


@pytest.mark.parametrize('kind', ['SparseRoIAlign', 'RoIAlign'])
def test_no_rois(kind):
    x = features().requires_grad_()
    y = extractor(type=kind)([x], torch.zeros(0, 5))
    assert y.shape == (0, 6, 7, 7)
    y.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
    assert sparse_roi_align(x, torch.zeros(0, 5), (7, 7)).shape == (0, 6, 7, 7)


def test_bad_arguments():
    with pytest.raises(ValueError, match='sampling_ratio must be at least 1, not 0'):
        sparse_roi_align(features(), random_rois(), (7, 7), sampling_ratio=0)
    with pytest.raises(ValueError, match=r'featmap_strides is \[8, 16\]'):
        SingleLevelRoIExtractor(dict(type='RoIAlign', output_size=7), 6, [8, 16])


# --- memory format -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'layer',
    [
        dict(type='RoIAlign'),
        dict(type='RoIAlign', pool_mode='max'),
        dict(type='SparseRoIAlign', pool_mode='max'),
        dict(type='SparseRoIAlign', sampling_ratio=0),
        dict(type='SparseRoIAlign'),
    ],
    ids=str,
)
def test_memory_format_does_not_change_the_result(layer):
    layer = {'output_size': 7, 'sampling_ratio': 2, **layer}
    extractor = MODELS.build(dict(type='SingleLevelRoIExtractor', roi_layer=layer, out_channels=6, featmap_strides=[STRIDE]))
    rois = random_rois()[:-1]
    by_rows = torch.cat([rois, rois], 1)[:, :5]  # not contiguous either
    expected = extractor((features(),), rois)
    torch.testing.assert_close(extractor((features(channels_last=True),), by_rows), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_whole_model_with_each_extractor():
    """Features stay channels last in the default model, and all three extractors give equal results."""
    data = dict(inputs=images(2, seed=4), data_samples=[slice_sample(), slice_sample()])
    found = {}
    for name, options, last in (
        ('sparse', {}, True),
        ('plain', {f'roi_head.{part}_roi_extractor.roi_layer.type': 'RoIAlign' for part in ('bbox', 'mask')}, True),
        (
            'mmdet',
            {
                **{
                    f'roi_head.{part}_roi_extractor.{key}': value
                    for part in ('bbox', 'mask')
                    for key, value in (('type', 'SingleRoIExtractor'), ('roi_layer.type', 'RoIAlign'))
                },
                'backbone.channels_last': False,
            },
            False,
        ),
    ):
        model = build_model(options).eval()
        assert model.backbone.channels_last is last, name
        found[name] = model.val_step(dict(inputs=data['inputs'], data_samples=copy.deepcopy(data['data_samples'])))
    for name in ('plain', 'mmdet'):
        for ours, theirs in zip(found['sparse'], found[name]):
            torch.testing.assert_close(theirs.pred_slice.logits, ours.pred_slice.logits, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(theirs.pred_instances.bboxes, ours.pred_instances.bboxes, rtol=0, atol=1e-3)


def test_extractors_that_misread_channels_last_are_rejected():
    """mmcv's compiled layers silently return wrong values for channels-last features."""
    with pytest.raises(ValueError, match='mask_roi_extractor is a SingleRoIExtractor, .* backbone.channels_last=False'):
        build_model(
            {'roi_head.mask_roi_extractor.type': 'SingleRoIExtractor', 'roi_head.mask_roi_extractor.roi_layer.type': 'RoIAlign'}
        )
