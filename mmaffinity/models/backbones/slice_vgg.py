"""VGG without the extra layers of MMDetection's SSD."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import VGG
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor


@MODELS.register_module()
class SliceVGG(VGG, BaseModule):
    """The convolutional layers of VGG, with the parameter names of common ImageNet checkpoints (``features.0.weight``).

    Args:
        depth: 11, 13, 16 or 19 layers.
        init_cfg: MMEngine's initialisation config; ``Pretrained`` ignores the checkpoint's classifier.
        out_indices: indices of the stages to return, 0 to 4.
        kwargs: as for :class:`mmcv.cnn.VGG`, such as ``with_bn`` and ``frozen_stages``.

    Raises:
        ValueError: if ``depth`` is not one of these.
    """

    def __init__(self, depth: int = 16, init_cfg: dict | None = None, out_indices: Sequence[int] = (4,), **kwargs: Any) -> None:
        if depth not in self.arch_settings:
            raise ValueError(f'depth of SliceVGG must be one of {sorted(self.arch_settings)}, not {depth}')
        # mmcv's VGG calls super().__init__() without arguments, which resolves to BaseModule.
        super().__init__(depth, out_indices=out_indices, **kwargs)
        self.init_cfg = init_cfg or [dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', val=1, layer='BatchNorm2d')]

    def init_weights(self, pretrained: None = None) -> None:
        """Initialise from ``init_cfg``, like every MMEngine module."""
        super(VGG, self).init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map slices (N, 3, H, W) to the outputs of the selected stages, each (N, C, H', W')."""
        out = super().forward(x)
        return out if isinstance(out, tuple) else (out,)
