"""The head of the paper's predecessors, which reads scores and box deltas."""

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmaffinity.models import SingleShotClsHead
from mmaffinity.structures import RankedRoIs
from mmaffinity.utils.config import load_config


def test_single_shot_head_reads_scores_and_raw_deltas_in_order():
    torch.manual_seed(0)
    head = SingleShotClsHead(num_classes=3, num_rois=4, fc_channels=(6, 5))
    head.init_weights()
    assert [layer.in_features for layer in head.classifier if isinstance(layer, nn.Linear)] == [20, 6, 5]
    scores, deltas = torch.rand(2, 4), torch.randn(2, 4, 4)
    out = head(RankedRoIs(torch.zeros(2, 4, 4), scores, deltas))['logits']
    for n in range(2):
        vector = [value for k in range(4) for value in (scores[n, k].item(), *deltas[n, k].tolist())]
        hidden = torch.tensor(vector)
        for layer in (head.classifier[0], head.classifier[2]):
            hidden = (layer.weight @ hidden + layer.bias).clamp(min=0)
        torch.testing.assert_close(out[n], head.classifier[4].weight @ hidden + head.classifier[4].bias)
    with pytest.raises(ValueError, match='3 RoIs were ranked'):
        head(RankedRoIs(torch.zeros(1, 3, 4), scores[:1, :3], deltas[:1, :3]))


def test_sizes_match_the_paper(repo_root):
    config = load_config(repo_root / 'configs' / 'baselines' / 'single_shot.py')
    head = MODELS.build(config.model.roi_head.cls_head)
    assert [(m.in_features, m.out_features) for m in head.classifier if isinstance(m, nn.Linear)] == [
        (640, 512),
        (512, 512),
        (512, 3),
    ]
    assert config.model.roi_head.roi_selector.nms_iou == 0.75
