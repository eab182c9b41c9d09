"""The baselines: which parameters and buffers each trains, and that each trains and predicts."""

import copy
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from model_helpers import NARROW, batch, build_model, lesion_sample, slice_sample, total
from torch import nn

from mmaffinity.engine import AlternatingLossHook
from mmaffinity.models import SingleShotClsHead
from mmaffinity.structures import RankedRoIs
from mmaffinity.utils.config import load_config

STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')
AFFINITY_ONLY = ('roi_head.cls_head.in_channels', 'roi_head.cls_head.refinement.mid_channels', 'roi_head.cls_head.fc_channels')


def baseline(repo_root, name, seed=0, **overrides):
    """A baseline's model with narrow layers, and its config."""
    config = load_config(repo_root / 'configs' / 'baselines' / f'{name}.py')
    changes = {'backbone.init_cfg': None, 'data_preprocessor.mean': 0.4, 'data_preprocessor.std': 0.25}
    if 'roi_head' in config.model:
        changes.update({key: value for key, value in NARROW.items() if key not in AFFINITY_ONLY})
    config.merge_from_dict({f'model.{key}': value for key, value in {**changes, **overrides}.items()})
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():  # a residual block starts with zeros, which block the gradient
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model, config


def step(model, data):
    """One step with Adam, under the hook that sets stages where the model has any; returns what changed."""
    model.train()
    before = copy.deepcopy(model.state_dict())
    hook, runner = AlternatingLossHook(), SimpleNamespace(model=model, _resume=False)
    staged = hasattr(model, 'set_stage')
    if staged:
        hook.before_train_iter(runner, 0, data)
    wrapper = OptimWrapper(torch.optim.Adam([p for p in model.parameters()], lr=1e-3, weight_decay=1e-3))
    outputs = model.train_step(data, wrapper)
    if staged:
        hook.after_train_iter(runner, 0, data, outputs)
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}, outputs


def parameters(model, prefixes=''):
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


def buffers(model, prefix):
    return {name for name in model.state_dict() if name.startswith(prefix) and name.endswith(STATISTICS)}


def detection_spread(model):
    """Let scores and boxes differ between RoIs, as a trained model's do."""
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.weight.mul_(10)
        model.roi_head.bbox_head.fc_reg.weight.mul_(50)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.01)
                module.running_var.uniform_(0.5, 1.0)


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


def test_covid_ct_mask_net_trains_classifier_and_affine_weights_only(repo_root):
    model, _ = baseline(repo_root, 'covid_ct_mask_net')
    detection_spread(model)
    model.roi_head.copy_branch()
    norms = {
        f'{name}.{key}'
        for name, module in model.backbone.named_modules(prefix='backbone')
        if isinstance(module, nn.BatchNorm2d)
        for key in ('weight', 'bias')
    }
    changed, _ = step(model, batch(slice_sample()))
    assert norms and changed == norms | parameters(model, 'roi_head.cls_head.')
    with pytest.raises(ValueError, match='no segmentation stage'):
        step(model, batch(lesion_sample()))


def test_covid_ct_mask_net_starts_from_a_mask_rcnn(repo_root):
    source = baseline(repo_root, 'mask_rcnn_full', seed=1)[0].state_dict()
    model, config = baseline(repo_root, 'covid_ct_mask_net', seed=2)
    classifier = copy.deepcopy(model.roi_head.cls_head.state_dict())
    assert config.default_hooks.checkpoint_guard.new_layers == ['roi_head.cls_head', 'roi_head.classification_branch']
    load_state_dict(model, source)  # as the runner loads
    for name, value in model.state_dict().items():
        if name.startswith('roi_head.cls_head.'):
            assert torch.equal(value, classifier[name.removeprefix('roi_head.cls_head.')])
        else:
            assert torch.equal(value, source[name.replace('classification_branch.', '')]), name


@pytest.mark.parametrize('name', ['resnet18_slice', 'vgg16_ictcf'])
def test_slice_classifiers_train_every_weight(repo_root, name):
    narrow = {'cls_head.fc_channels': (16, 16)} if name == 'vgg16_ictcf' else {}
    model, _ = baseline(repo_root, name, **narrow)
    changed, losses = step(model, batch(slice_sample(1), slice_sample(0)))
    assert changed == parameters(model) | buffers(model, 'backbone.')
    assert set(losses) >= {'loss_slice', 'slice_acc'}
    model.eval()
    one, two = model.test_step(batch(slice_sample(1), slice_sample(0)))
    classes = model.cls_head.num_classes
    assert one.pred_slice.score.shape == one.pred_slice.logits.shape == (classes,)
    torch.testing.assert_close(one.pred_slice.score, one.pred_slice.logits.sigmoid())
    with pytest.raises(ValueError, match='segmentation task'):
        step(model, batch(lesion_sample()))


def test_slice_classifier_accepts_any_backbone():
    init_default_scope('mmdet')
    preprocessor = dict(type='SliceDataPreprocessor', mean=0.4, std=0.25)
    for backbone, channels in (
        (dict(type='ResNet', depth=18, base_channels=8), 64),
        (dict(type='MobileNetV2', widen_factor=0.25), 1280),
        (dict(type='SliceVGG', depth=11), 512),
    ):
        model = MODELS.build(
            dict(type='SliceClassifier', data_preprocessor=preprocessor, backbone=backbone, cls_head=dict(num_classes=3))
        )
        assert model.cls_head.classifier[0].in_features == channels
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        assert all(int(module.num_batches_tracked) == 0 for module in norms)
        assert model.training


def test_vgg_parameter_names_match_common_checkpoints():
    model = MODELS.build(dict(type='SliceVGG', depth=16))
    weights = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert weights['features.0.weight'] == (64, 3, 3, 3) and weights['features.28.weight'] == (512, 512, 3, 3)
    assert len(weights) == 26
    with pytest.raises(ValueError, match='depth of'):
        MODELS.build(dict(type='SliceVGG', depth=17))


class PooledModel(nn.Module):
    """Stand-in for a timm model with num_classes=0, which pools its features."""

    def __init__(self):
        super().__init__()
        self.num_features = 5
        self.conv = nn.Conv2d(3, 5, 3)

    def init_weights(self, mode=''):
        raise AssertionError('this would undo pretrained weights')

    def forward(self, x):
        return self.conv(x).mean((2, 3))


def test_timm_model_is_a_backbone(monkeypatch):
    calls = []
    timm = ModuleType('timm')
    timm.create_model = lambda name, **kwargs: calls.append((name, kwargs)) or PooledModel()
    monkeypatch.setitem(sys.modules, 'timm', timm)
    init_default_scope('mmdet')
    config = dict(
        type='SliceClassifier',
        data_preprocessor=dict(type='SliceDataPreprocessor', mean=0.4, std=0.25),
        backbone=dict(
            type='TimmBackbone', model_name='resnet26d', init_cfg=dict(type='Pretrained', checkpoint='timm'), drop_rate=0.1
        ),
        cls_head=dict(num_classes=3),
    )
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    assert calls == [('resnet26d', dict(pretrained=True, num_classes=0, drop_rate=0.1))]
    assert model.cls_head.classifier[0].in_features == 5
    changed, _ = step(model, batch(slice_sample()))
    assert changed == parameters(model)
    config['backbone']['init_cfg'] = None  # as when a checkpoint is tested: nothing is downloaded
    MODELS.build(copy.deepcopy(config))
    assert calls[-1][1]['pretrained'] is False
    config['cls_head']['pool_size'] = 7
    wrong = MODELS.build(copy.deepcopy(config))
    with pytest.raises(ValueError, match='pool_size is 7'):
        wrong.test_step(batch(slice_sample()))


def test_without_timm_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ValueError, match=r'mmaffinity\[timm\]'):
        MODELS.build(dict(type='TimmBackbone', model_name='resnet26d'))


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


def test_head_arguments_are_checked():
    for wrong in (dict(in_channels=None), dict(in_channels=4, pool_size=0), dict(in_channels=4, dropout=1.0)):
        with pytest.raises(ValueError):
            MODELS.build(dict(type='PooledClsHead', **wrong))


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


def test_mismatched_torchvision_build_is_reported(tmp_path, monkeypatch):
    """torch rejects its operators with a RuntimeError during timm's import."""
    monkeypatch.delitem(sys.modules, 'timm', raising=False)
    (tmp_path / 'timm.py').write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r'torchvision::nms does not exist.*torchvision build for your torch'):
        MODELS.build(dict(type='TimmBackbone', model_name='vgg11'))
