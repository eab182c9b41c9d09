"""Train parts of a model in bfloat16 on CPUs where this is faster."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

# Convolutions on feature maps and RoIs. Boxes are decoded and losses computed outside these parts, in float32.
PARTS = ('backbone', 'neck', 'rpn_head.rpn_conv', 'roi_head.mask_head')


def computes_bfloat16() -> bool:
    """Return whether this processor has instructions for bfloat16 matrix products: AVX-512 BF16 or AMX on x86."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@HOOKS.register_module()
class Bfloat16Hook(Hook):
    """Run the forward passes of some submodules under ``torch.autocast`` in bfloat16 while training on a CPU.

    Weights, gradients, optimizer state, the outputs of each submodule and checkpoints remain float32. Validation is unaffected.
    A training step takes about half the time with AMX; docs/speed.md has measurements.

    Args:
        parts: names of submodules; names that the model lacks are ignored.
    """

    def __init__(self, parts: Sequence[str] = PARTS) -> None:
        self.parts = tuple(parts)

    def before_train(self, runner: Runner) -> None:
        """Let the submodules compute in bfloat16."""
        train_in_bfloat16(runner.model.module if is_model_wrapper(runner.model) else runner.model, self.parts)


def train_in_bfloat16(model: nn.Module, parts: Sequence[str] = PARTS) -> None:
    """Wrap the forward methods of submodules, as :class:`Bfloat16Hook` describes; names that the model lacks are ignored."""
    modules = dict(model.named_modules())
    for name in parts:
        if name in modules:
            _wrap(modules[name])


def _wrap(module: nn.Module) -> None:
    forward = module.forward
    if getattr(forward, 'bfloat16', False):
        return

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not (module.training and torch.is_grad_enabled()):
            return forward(*args, **kwargs)
        with torch.autocast('cpu', torch.bfloat16):
            return _to_float(forward(*args, **kwargs))

    setattr(wrapped, 'bfloat16', True)  # noqa: B010
    module.forward = wrapped


def _to_float(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, (tuple, list)):
        return type(output)(_to_float(part) for part in output)
    return output
