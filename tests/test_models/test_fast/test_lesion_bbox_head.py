"""The box head on features in either order of memory against MMDetection's."""

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmengine.registry import init_default_scope

from mmaffinity.models import LesionBBoxHead

SETTINGS = dict(in_channels=6, fc_out_channels=5, roi_feat_size=3, num_classes=2)


@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize('num', [0, 1, 9])
@pytest.mark.parametrize('settings', [dict(), dict(with_avg_pool=True)])
@pytest.mark.parametrize('layout', [torch.channels_last, torch.contiguous_format])
def test_same_scores_deltas_and_gradients(layout, settings, num, dtype, tolerance):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    reference, head = (kind(**SETTINGS, **settings).to(dtype) for kind in (Shared2FCBBoxHead, LesionBBoxHead))
    head.load_state_dict(reference.state_dict())
    x = torch.randn(num, 6, 3, 3, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    gradients = []
    for found, expected in zip(head(x), reference(x)):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for network in (head, reference):
        cls_score, deltas = network(x)
        loss = cls_score.square().sum() + deltas.square().sum()
        gradients.append(torch.autograd.grad(loss, [x, *network.parameters()]))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=10 * tolerance, atol=10 * tolerance)
