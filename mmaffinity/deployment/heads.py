"""Mask heads and the affinity head as plain convolutions, with all foldable weights folded."""

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmaffinity.models import (
    AffinityClsHead,
    FastAffinityClsHead,
    FastMaskFeatureHead,
    LesionMaskHead,
    MaskFeatureHead,
    PooledMaskFeatureHead,
)
from mmaffinity.models.fast.folding import fold_up_down, splits_into_blocks
from mmaffinity.models.layers import RoIBatchNorm2d, RoIGroupNorm, RoIVectorization, SliceBatchNorm2d


def pointwise(weight: Tensor, bias: Tensor, groups: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution with weight (E, D) and bias (E,)."""
    conv = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], 1, groups=groups)
    conv.weight = nn.Parameter(weight.detach()[..., None, None].clone(), requires_grad=False)
    conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv


def up_to_blocks(up: nn.ConvTranspose2d) -> nn.Conv2d:
    """Return a 2x2 stride-2 transposed convolution D -> C as a 1x1 convolution D -> 4C, ordered by pixel, then channel."""
    return pointwise(up.weight.permute(2, 3, 1, 0).flatten(0, 2), up.bias.repeat(4))


def blocks_down(down: nn.Conv2d) -> nn.Conv2d:
    """Return a 2x2 stride-2 convolution C -> E as a 1x1 convolution of the blocks of :func:`up_to_blocks`, 4C -> E."""
    return pointwise(down.weight.permute(0, 2, 3, 1).flatten(1), down.bias)


class Norm(nn.Module):
    """A normalisation of RoI features, for beta RoIs per slice, in elementary operations.

    Args:
        norm: a normalisation layer of the slice head.
        num_rois: RoIs per slice.

    Raises:
        ValueError: if the layer's type is not supported.
    """

    def __init__(self, norm: nn.Module, num_rois: int) -> None:
        super().__init__()
        channels = len(norm.weight)
        self.num_rois, self.channels, self.eps = num_rois, channels, norm.eps
        self.groups = norm.num_groups if isinstance(norm, RoIGroupNorm) else None
        self.running = isinstance(norm, RoIBatchNorm2d) or isinstance(norm, SliceBatchNorm2d) and norm.statistics == 'running'
        if not isinstance(norm, (RoIBatchNorm2d, RoIGroupNorm, SliceBatchNorm2d)):
            raise ValueError(f'a normalisation of type {type(norm).__name__} cannot be exported')
        scale, shift = norm.weight.detach(), norm.bias.detach()
        if self.running:
            scale = scale / (norm.running_var + norm.eps).sqrt()
            shift = shift - norm.running_mean * scale
        self.register_buffer('scale', scale.view(1, -1, 1, 1).clone())
        self.register_buffer('shift', shift.view(1, -1, 1, 1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features of shape (N * beta, C, H, W)."""
        if not self.running:
            if self.groups is not None:
                x = self._standardise(x.reshape(x.shape[0], self.groups, -1)).reshape(x.shape)
            else:
                ranks = x.reshape(-1, self.num_rois, self.channels, x.shape[2] * x.shape[3]).transpose(1, 2)
                flat = self._standardise(ranks.flatten(2)).reshape(ranks.shape)
                x = flat.transpose(1, 2).reshape(x.shape)
        return x * self.scale + self.shift

    def _standardise(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, eps=self.eps)


class MaskFeatures(nn.Module):
    """The classification branch's mask head.

    Args:
        mask_head: the head, which ends after upsampling.

    Attributes:
        as_blocks: whether the features are returned as 2x2 blocks of pixels.
    """

    def __init__(self, mask_head: MaskFeatureHead) -> None:
        super().__init__()
        self.convs, self.extra_conv = mask_head.convs, mask_head.extra_conv
        self.as_blocks = self.extra_conv is None and splits_into_blocks(mask_head.upsample)
        self.up = up_to_blocks(mask_head.upsample) if self.as_blocks else mask_head.upsample

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to mask features (R, C, 2S, 2S), or to their 2x2 blocks (R, 4C, S, S)."""
        for conv in self.convs:
            x = conv(x)
        x = self.up(x)
        if self.extra_conv is not None:
            x = self.extra_conv(x)
        return F.relu(x)


class PooledFeatures(nn.Module):
    """:class:`PooledMaskFeatureHead`: the mean and maximum of each RoI's mask features."""

    def __init__(self, mask_head: PooledMaskFeatureHead) -> None:
        super().__init__()
        self.mask, self.channels = MaskFeatures(mask_head), mask_head.conv_out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to pooled mask features (R, 2C)."""
        x = self.mask(x)
        x = x.reshape(x.shape[0], -1, self.channels, x.shape[2] * x.shape[3])
        return torch.cat([x.mean((1, 3)), x.amax((1, 3))], 1)


class RefinedFeatures(nn.Module):
    """:class:`MaskFeatureHead`, the refinement, and the first two layers of the vectorisation.

    Args:
        mask_head: mask head of the classification branch.
        head: the slice head.
        num_rois: RoIs per slice.
    """

    def __init__(self, mask_head: MaskFeatureHead, head: AffinityClsHead, num_rois: int) -> None:
        super().__init__()
        vectorization, stages = head.vectorization, head.refinement.applied_stages()
        self.mask, down = MaskFeatures(mask_head), stages[0].conv_down
        # This layer reduces 2x2 blocks to one position, so the mask features are needed only as blocks.
        self.down = blocks_down(down) if self.mask.as_blocks else down
        self.stage_norms = nn.ModuleList(Norm(stage.norm, num_rois) for stage in stages)
        pairs = [(stage.conv_up, after.conv_down) for stage, after in zip(stages, stages[1:])]
        pairs.append((stages[-1].conv_up, vectorization.convs[0]))
        self.between = nn.ModuleList(self._join(*pair, fold=isinstance(head, FastAffinityClsHead)) for pair in pairs)
        self.second = vectorization.convs[1]
        self.norms = nn.ModuleList(Norm(norm, num_rois) for norm in vectorization.norms[:2])

    @staticmethod
    def _join(up: nn.ConvTranspose2d, down: nn.Conv2d, fold: bool) -> nn.Module:
        if not fold:
            return nn.Sequential(up, down)
        weight, bias = fold_up_down(up, down)
        return pointwise(weight.flatten(1), bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to flattened maps (R, D)."""
        x = self.down(self.mask(x))
        for norm, join in zip(self.stage_norms, self.between):
            x = join(F.relu(norm(x)))
        x = self.norms[0](F.relu(x))
        return self.norms[1](F.relu(self.second(x))).flatten(1)


class MaskLogits(nn.Module):
    """The segmentation branch's mask head.

    Args:
        mask_head: the head.

    Raises:
        ValueError: if its upsampling is not supported.
    """

    def __init__(self, mask_head: LesionMaskHead) -> None:
        super().__init__()
        final = mask_head.conv_logits
        if not splits_into_blocks(mask_head.upsample) or not isinstance(final, nn.Conv2d) or final.kernel_size != (1, 1):
            raise ValueError(
                "a mask head must have upsample_cfg=dict(type='deconv', scale_factor=2) and a 1x1 final convolution for export"
            )
        self.convs, self.num_classes = mask_head.convs, final.out_channels
        self.up = up_to_blocks(mask_head.upsample)
        self.final = pointwise(final.weight.flatten(1).repeat(4, 1), final.bias.repeat(4), groups=4)

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to logits (R, K, 2S, 2S)."""
        for conv in self.convs:
            x = conv(x)
        x = self.final(F.relu(self.up(x)))  # (R, 2 * 2 * K, S, S)
        return F.pixel_shuffle(x.unflatten(1, (4, self.num_classes)).transpose(1, 2).flatten(1, 2), 2)


class LastLayer(nn.Module):
    """The last layer of a vectorisation: from flattened maps (R, D) to vectors (R, C), for ``num_rois`` per slice."""

    def __init__(self, vectorization: RoIVectorization, num_rois: int) -> None:
        super().__init__()
        conv = vectorization.convs[-1]
        self.linear = nn.Linear(1, 1)
        self.linear.weight, self.linear.bias = nn.Parameter(conv.weight.flatten(1)), conv.bias
        self.norm = Norm(vectorization.norms[-1], num_rois)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu(self.linear(x))[..., None, None]).flatten(1)


class SliceOutputs(NamedTuple):
    """Outputs of the affinity head for N slices; see :class:`AffinityClsHead`."""

    logits: Tensor
    roi_features: Tensor
    affinity: Tensor
    features: Tensor
    roi_weights: Tensor


class AffinityHead(nn.Module):
    """:class:`MaskFeatureHead` and :class:`AffinityClsHead`: from aligned RoI features to slice logits.

    Args:
        mask_head: mask head of the classification branch.
        head: the slice head.
        num_rois: RoIs per slice: beta, or the number of candidates; the whole slice, if ``head.with_slice_roi``, not counted.

    Raises:
        ValueError: if the type of a head is not supported, or mask features are neither refined nor pooled.
    """

    def __init__(self, mask_head: MaskFeatureHead, head: AffinityClsHead, num_rois: int) -> None:
        super().__init__()
        allowed = (
            (head, (AffinityClsHead, FastAffinityClsHead)),
            (mask_head, (MaskFeatureHead, FastMaskFeatureHead, PooledMaskFeatureHead)),
        )
        for part, kinds in allowed:
            if type(part) not in kinds:
                names = ', '.join(kind.__name__ for kind in kinds)
                raise ValueError(f'a {type(part).__name__} cannot be exported, only {names}')
        pooled = isinstance(mask_head, PooledMaskFeatureHead)
        if pooled != (head.refinement is None):
            raise ValueError('exported mask features must be pooled or refined: refinement=False needs a PooledMaskFeatureHead')
        self.num_rois = num_rois
        self.features = PooledFeatures(mask_head) if pooled else RefinedFeatures(mask_head, head, num_rois)
        self.last = LastLayer(head.vectorization, num_rois)
        self.slice_last = LastLayer(head.slice_vectorization, 1) if head.with_slice_roi else None
        if head.with_slice_roi:
            self.slice_weight = head.slice_weight
        self.affinity, self.classifier = head.affinity, head.classifier

    def forward(self, x: Tensor, rank_weights: Tensor | None) -> SliceOutputs:
        """Classify N slices.

        Args:
            x: features (N * M, C, S, S) of M RoIs per slice or, with the whole slice as the last RoI, (N * (M + 1), C, S, S).
            rank_weights: rank weights (N, M, beta) or None.
        """
        x = self.features(x)
        if self.slice_last is not None:
            x = x.reshape(-1, self.num_rois + 1, x.shape[1])
            slice_vectors = self.slice_last(x[:, -1])[:, None]
            x = x[:, :-1].flatten(0, 1)
        x = self.last(x)
        vectors = x.reshape(-1, self.num_rois, x.shape[1])
        roi_weights = self.affinity.roi_weights
        if rank_weights is None:
            ranked, weights = vectors, roi_weights.expand(vectors.shape[0], -1)
        else:
            ranked, weights = rank_weights.transpose(1, 2) @ vectors, rank_weights @ roi_weights
        affinity = self.affinity.matrix.t() @ ranked
        features = (affinity * self.affinity.vector[:, None]).sum(1)
        if self.slice_last is not None:
            features = features + self.slice_weight * slice_vectors[:, 0]
            vectors = torch.cat([vectors, slice_vectors], 1)
            weights = torch.cat([weights, self.slice_weight.expand(vectors.shape[0], 1)], 1)
        return SliceOutputs(self.classifier(features), vectors, affinity, features, weights)


def frozen(module: nn.Module) -> nn.Module:
    """Return a copy of a module in evaluation mode, with frozen parameters."""
    with torch.no_grad():
        return copy.deepcopy(module).eval().requires_grad_(False)
