"""Small models of the baselines, and what a training step changes in them."""

import copy
from pathlib import Path
from types import SimpleNamespace

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from model_helpers import NARROW
from torch import nn

from mmaffinity.engine import AlternatingLossHook
from mmaffinity.utils.config import load_config

STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')
AFFINITY_ONLY = ('roi_head.cls_head.in_channels', 'roi_head.cls_head.refinement.mid_channels', 'roi_head.cls_head.fc_channels')


def baseline(repo_root: Path, name: str, seed: int = 0, **overrides: object) -> tuple[nn.Module, Config]:
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


def step(model: nn.Module, data: dict) -> tuple[set[str], dict]:
    """One step with Adam, under the hook that sets stages where the model has any; returns what changed, and the losses."""
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


def parameters(model: nn.Module, prefixes: str | tuple[str, ...] = '') -> set[str]:
    """The names of a model's parameters."""
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


def buffers(model: nn.Module, prefix: str) -> set[str]:
    """The names of BatchNorm's running averages."""
    return {name for name in model.state_dict() if name.startswith(prefix) and name.endswith(STATISTICS)}


def detection_spread(model: nn.Module) -> None:
    """Let scores and boxes differ between RoIs, as a trained model's do."""
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.weight.mul_(10)
        model.roi_head.bbox_head.fc_reg.weight.mul_(50)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.01)
                module.running_var.uniform_(0.5, 1.0)
