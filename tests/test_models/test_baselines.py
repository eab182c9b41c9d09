"""The baselines: which parameters and buffers each trains, and that each trains and predicts."""

import pytest
import torch
from baseline_helpers import baseline, buffers, detection_spread, parameters, step
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from model_helpers import batch, build_model, lesion_sample, slice_sample, total

from mmaffinity.utils.config import load_config


def test_mask_rcnn_full_trains_every_weight(repo_root):
    model, _ = baseline(repo_root, 'mask_rcnn_full')
    changed, losses = step(model, batch(lesion_sample()))
    assert changed == parameters(model) | buffers(model, 'backbone.')
    assert not any('cls_head' in name or 'classification_branch' in name for name in model.state_dict())
    assert {'loss_rpn_cls', 'loss_bbox', 'loss_mask'} <= set(losses)
    model.eval()
    predicted = model.test_step(batch(lesion_sample()))[0]
    assert 'pred_instances' in predicted and 'pred_slice' not in predicted


def test_mask_rcnn_heads_only_keeps_its_backbone(repo_root):
    model, _ = baseline(repo_root, 'mask_rcnn_heads_only')
    changed, _ = step(model, batch(lesion_sample()))
    assert changed == parameters(model, ('neck.', 'rpn_head.', 'roi_head.'))


def test_mask_rcnn_is_the_segmentation_branch_of_the_affinity_model(repo_root):
    alone = baseline(repo_root, 'mask_rcnn_full')[0].state_dict()
    both = build_model().state_dict()
    own = {name for name in both if not name.startswith(('roi_head.cls_head.', 'roi_head.classification_branch.'))}
    assert own == set(alone)
    assert all(alone[name].shape == both[name].shape for name in own)


def test_single_shot_trains_the_parts_of_each_stage(repo_root):
    model, config = baseline(repo_root, 'single_shot')
    assert config.default_hooks.alternation == dict(type='AlternatingLossHook', copy='best')
    detection_spread(model)
    model.roi_head.copy_branch()
    branch = parameters(model, 'roi_head.classification_branch.')
    changed, _ = step(model, batch(lesion_sample()))
    own = parameters(model, ('backbone.', 'neck.', 'rpn_head.', 'roi_head.bbox_head.', 'roi_head.mask_head.'))
    assert changed == own | branch | buffers(model, 'backbone.')
    changed, losses = step(model, batch(slice_sample()))
    assert changed == parameters(model, ('backbone.', 'neck.', 'roi_head.cls_head.'))
    assert losses['loss_slice'] > 0
    assert parameters(model) >= branch and not any('mask_head' in name for name in branch)


def test_single_shot_gradient_reaches_the_backbone_through_scores_and_through_deltas(repo_root):
    for cut in ('fc_cls', 'fc_reg'):
        model, _ = baseline(repo_root, 'single_shot')
        detection_spread(model)
        model.roi_head.copy_branch()
        model.train()
        model.set_stage('classification')
        layer = getattr(model.roi_head.classification_branch.bbox_head, cut)
        layer.register_forward_hook(lambda module, args, out: out.detach())
        data = model.data_preprocessor(batch(slice_sample()))
        total(model.loss(data['inputs'], data['data_samples'])).backward()
        assert model.backbone.conv1.weight.grad.abs().max() > 0, cut
        assert model.rpn_head.rpn_cls.weight.grad is None
        assert all(p.grad is None for p in model.roi_head.classification_branch.parameters())


@pytest.mark.parametrize('name, channels', [('affinity_c8_r34', 256), ('affinity_c8_r50', 1024)])
def test_other_depths_need_one_config_line(repo_root, name, channels):
    config = load_config(repo_root / 'configs' / f'{name}.py', {'model.backbone.init_cfg': None})
    assert config.model.neck.in_channels == [channels]
    init_default_scope('mmdet')
    model = MODELS.build(config.model)
    with torch.no_grad():
        assert model.extract_feat(torch.zeros(1, 3, 64, 64))[0].shape == (1, 256, 4, 4)


def test_load_from_names_the_final_checkpoint_of_another_config(repo_root):
    """A config names work_dirs/<config>/epoch_<N>.pth: N is the last epoch of that config's own training."""
    found = {}
    for path in (*(repo_root / 'configs').glob('*.py'), *(repo_root / 'configs/baselines').glob('*.py')):
        config = load_config(path)
        for start in (config.get('load_from'), (config.model.backbone.get('init_cfg') or {}).get('checkpoint')):
            if start and start.startswith('work_dirs/'):
                source, epoch = start.removeprefix('work_dirs/').removesuffix('.pth').split('/epoch_')
                found[path.stem] = source, int(epoch)
    assert found['covid_ct_mask_net'] == ('mask_rcnn_full', 630)
    assert {'covid_ct_mask_net_phantom', 'mask_rcnn_heads_only_phantom', 'affinity_c8_phantom_ictcf'} <= set(found)
    for name, (source, epoch) in found.items():
        file = repo_root / 'configs' / f'{source}.py'
        config = load_config(file if file.is_file() else repo_root / 'configs' / 'baselines' / f'{source}.py')
        assert config.train_cfg.max_epochs == epoch, name
        assert epoch % config.default_hooks.checkpoint.interval == 0, name
