"""A faster ResNet for grayscale slices, with the same outputs."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import BasicBlock
from mmdet.registry import MODELS
from torch import Tensor, nn

from .conv_norm import conv_norm


@MODELS.register_module()
class GreyResNet(ResNet):
    """A :class:`ResNet` with the same parameters, names and outputs that is faster on CPUs.

    * A single-channel slice stands for three equal channels: the first convolution uses its weights summed over the input
      channels, so that all of them are trained. ``SliceDataPreprocessor(num_channels=1)`` produces such slices.
    * With an autograd graph, oneDNN computes the max pooling on CPUs, because torch does not vectorise it.
    * Without an autograd graph, features are channels last in memory, for which max pooling is vectorised on CPUs. A
      single-channel convolution is not vectorised, so the pixels are rearranged into four channels of half the size, and the
      kernel likewise. With a graph, the usual order is kept, because backward convolutions are slow in channels-last order.
    * A BatchNorm in evaluation mode is folded into the preceding convolution within the graph, so that both train. This
      applies to testing and to the classification stage of training.

    Args:
        fold_norm: whether to fold BatchNorm.
        channels_last: whether to keep features channels last when no gradient is computed. mmcv's compiled RoI layers treat
            such features as channels first and silently return wrong values, so the RoI extractors must be
            :class:`SingleLevelRoIExtractor`; :class:`AffinityRCNN` checks this.
        kwargs: as for :class:`ResNet`. Blocks other than those of depths 18 and 34 run unchanged.
    """

    def __init__(self, depth: int, *args: Any, fold_norm: bool = True, channels_last: bool = False, **kwargs: Any) -> None:
        super().__init__(depth, *args, **kwargs)
        self.fold_norm = fold_norm
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map slices (N, 1, H, W), or (N, 3, H, W) as in any ResNet, to the outputs of the stages in ``out_indices``."""
        # ReLU after max pooling gives the same result as before it, for a quarter of the work.
        x = self._max_pool(self._stem(x))
        x = x if self.deep_stem else self.relu(x)
        outputs = []
        for i, name in enumerate(self.res_layers):
            for block in getattr(self, name):
                x = self._block(block, x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)

    def _stem(self, x: Tensor) -> Tensor:
        channels_last = self.channels_last and not torch.is_grad_enabled()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        if self.deep_stem:
            return self.stem(x.expand(-1, self.stem[0].in_channels, -1, -1).contiguous(memory_format=layout))
        conv = self.conv1
        weight, padding, stride = conv.weight, conv.padding, conv.stride
        if x.shape[1] == 1:
            weight = weight.sum(1, keepdim=True)
            if channels_last:
                x, weight = halve_resolution(x, weight)
                padding, stride = 0, 1
        x = x.contiguous(memory_format=layout)
        if self.fold_norm:
            return conv_norm(x, conv, self.norm1, weight, padding, stride)
        return self.norm1(F.conv2d(x, weight, conv.bias, stride, padding))

    def _max_pool(self, x: Tensor) -> Tensor:
        by_onednn = x.requires_grad and x.device.type == 'cpu' and x.dtype in onednn_dtypes()
        if not by_onednn or torch.compiler.is_compiling():  # also true during export
            return self.maxpool(x)
        if not x.detach().sum().isfinite():  # oneDNN would replace NaN by finite values, and hide it from the losses
            return self.maxpool(x)
        return self.maxpool(x.to_mkldnn()).to_dense()

    def _conv_norm(self, x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
        return conv_norm(x, conv, norm) if self.fold_norm else norm(conv(x))

    def _block(self, block: nn.Module, x: Tensor) -> Tensor:
        if not isinstance(block, BasicBlock) or block.with_cp:
            return block(x)
        out = block.relu(self._conv_norm(x, block.conv1, block.norm1))
        out = self._conv_norm(out, block.conv2, block.norm2)
        if block.downsample is None:
            identity = x
        elif len(block.downsample) == 2:
            identity = self._conv_norm(x, *block.downsample)
        else:
            identity = block.downsample(x)
        out += identity
        return block.relu(out)


@functools.cache
def onednn_dtypes() -> tuple[torch.dtype, ...]:
    """Return the types in which oneDNN, which torch calls MKL-DNN, computes on this processor."""
    if not torch.backends.mkldnn.is_available():
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


def halve_resolution(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return an input and kernel whose unpadded stride-1 convolution equals a 7x7 stride-2 convolution with padding 3.

    Args:
        x: slices, shape (N, 1, H, W).
        weight: kernel, shape (C, 1, 7, 7).

    Returns:
        Slices whose four channels are the pixels of 2x2 blocks, shape (N, 4, ceil(H / 2) + 3, ceil(W / 2) + 3), and the kernel,
        extended to 8x8 with a row and a column of zeros, shape (C, 4, 4, 4).
    """
    height, width = x.shape[-2:]
    x = F.pad(x, (4, 2 + width % 2, 4, 2 + height % 2))
    return F.pixel_unshuffle(x, 2), F.pixel_unshuffle(F.pad(weight, (1, 0, 1, 0)), 2)
