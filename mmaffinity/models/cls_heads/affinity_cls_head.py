"""The paper's slice head: the affinity among the mask features of the best RoIs (Section 3)."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmengine.model import kaiming_init, normal_init
from torch import Tensor, nn

from mmaffinity.models.layers import AffinityMapping, RoIRefinement, RoIVectorization
from mmaffinity.structures import RankedRoIs

from .base_slice_head import BaseSliceHead, fc_layers


@MODELS.register_module()
class AffinityClsHead(BaseSliceHead):
    """Classify a slice by RoI refinement, RoI vectorisation, affinity mapping and image classifier (Section 3, Eqs. 1 to 7).

    Args:
        num_classes: K.
        num_rois: beta, rows of the affinity matrix W.
        num_affinities: C*, columns of W.
        in_channels: channels C of the mask features.
        roi_size: side S of the mask features: 28 in the paper, 1 with a :class:`PooledMaskFeatureHead`.
        refinement: arguments of :class:`RoIRefinement`: ``num_stages``, ``shared``, ``mid_channels``. False means none, the
            only choice for pooled features.
        fc_channels: widths of the classifier's hidden layers.
        norm_cfg: normalisation of refinement and vectorisation, as an MMDetection config (see :func:`build_roi_norm`). None
            normalises over the RoIs of a slice, as in the paper; ``dict(type='SliceBN', statistics='running')`` uses running
            averages in evaluation mode; ``dict(type='GN', num_groups=32)`` normalises each RoI independently;
            ``dict(type='BN')`` normalises over the RoIs of a batch.
        slice_roi: also read the whole slice, as one more RoI after the ranked ones. Its vector, from a vectorisation of its
            own, is added to z with a trained weight. The paper's head (False) sees nothing but its RoIs. This needs
            ``refinement=False`` and, because there is one such RoI per slice, a ``norm_cfg`` other than 'SliceBN'.
        classifier_std: standard deviation of the classifier's initial weights. None uses the published Kaiming initialisation,
            whose first logits are of the order of 100. Many thousand small steps compensate for this; a short training run
            from scratch cannot.
        unit_roi_weights: whether W v starts as 1 for every rank (see :class:`AffinityMapping`).
        loss_cls, class_reduction, init_cfg: see :class:`BaseSliceHead`.

    Raises:
        ValueError: as for :class:`BaseSliceHead`; if ``norm_cfg`` is unknown; if ``refinement`` is not False for pooled
            features; if ``slice_roi`` is combined with refinement or 'SliceBN'; or if beta is 1 with slice statistics: after
            the last convolution there is one value per RoI and channel, which has no variance.
    """

    reads_mask_features = True
    reads_rank_weights = True

    def __init__(
        self,
        num_classes: int = 3,
        num_rois: int = 8,
        num_affinities: int = 8,
        in_channels: int = 256,
        roi_size: int = 28,
        refinement: dict | bool | None = None,
        fc_channels: Sequence[int] = (128, 128),
        norm_cfg: dict | None = None,
        slice_roi: bool = False,
        classifier_std: float | None = None,
        unit_roi_weights: bool = False,
        loss_cls: dict | None = None,
        class_reduction: str = 'mean',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_classes, num_rois, loss_cls, class_reduction, init_cfg)
        norm_cfg = norm_cfg or dict(type='SliceBN')
        if num_rois < 2 and norm_cfg.get('type') == 'SliceBN':
            raise ValueError(
                f'num_rois of AffinityClsHead must be at least 2, not {num_rois}: its batch normalisation takes the '
                "variance over the RoIs of a slice; set norm_cfg=dict(type='GN') for a single RoI"
            )
        if slice_roi and (refinement is not False or norm_cfg.get('type') == 'SliceBN'):
            raise ValueError("slice_roi=True needs refinement=False and norm_cfg=dict(type='BN') or dict(type='GN')")
        self.num_affinities = num_affinities
        self.feature_shape = in_channels, roi_size, roi_size
        self.with_slice_roi = slice_roi
        self.classifier_std = classifier_std
        if refinement is not False and roi_size == 1:
            raise ValueError('features with roi_size=1 cannot be refined; set refinement=False')
        settings = refinement if isinstance(refinement, dict) else {}
        self.refinement = None if refinement is False else RoIRefinement(in_channels, norm_cfg=norm_cfg, **settings)
        self.vectorization = RoIVectorization(in_channels, roi_size, norm_cfg=norm_cfg)
        self.affinity = AffinityMapping(num_rois, num_affinities, unit_roi_weights)
        if slice_roi:
            self.slice_vectorization = RoIVectorization(in_channels, roi_size, norm_cfg=norm_cfg)
            # Starts with as much weight as all ranked RoIs together.
            self.slice_weight = nn.Parameter(torch.tensor(float(num_rois)))
        self.classifier = fc_layers(in_channels, fc_channels, num_classes)

    def init_weights(self) -> None:
        """Initialise weights as Kaiming normal (fan-out, ReLU), biases as 0.01, W and v as in :class:`AffinityMapping`."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                kaiming_init(module, bias=0.01)
        if self.classifier_std is not None:
            for module in self.classifier:
                if isinstance(module, nn.Linear):
                    normal_init(module, std=self.classifier_std, bias=0.01)
        self.affinity.reset_parameters()

    def vectors(self, mask_features: Tensor, num_slices: int) -> Tensor:
        """Map mask features (N * beta, C, S, S) to the RoI vectors X (N, beta, C)."""
        refined = mask_features if self.refinement is None else self.refinement(mask_features, num_slices)
        return self.vectorization(refined, num_slices)

    def forward(self, rois: RankedRoIs) -> dict[str, Tensor]:
        """Classify N slices.

        Args:
            rois: RoIs with ``mask_features`` of shape (N, beta, C, S, S), or (N, M, C, S, S) with ``rank_weights`` A of shape
                (N, M, beta). In the latter case, M weighted candidates are distributed over the beta ranks, X' = A^T X, and
                mapped as usual: z = X^T (A W v). With ``slice_roi``, the mask features of the whole slice follow those of the
                ranked RoIs or candidates.

        Returns:
            'logits' (N, K); 'roi_features' X (N, beta or M, C); 'affinity' Y (N, C*, C); 'features' z (N, C);
            'roi_weights', W v expanded to (N, beta), or A W v (N, M). With ``slice_roi``, the vector and weight of the whole
            slice follow those of the RoIs, so that z = X^T roi_weights; Y does not include it.

        Raises:
            ValueError: if the number or shape of the RoIs does not match the head.
        """
        num_slices, mask_features = rois.mask_features.shape[0], rois.mask_features
        number = self.num_rois if rois.rank_weights is None else rois.rank_weights.shape[1]
        if mask_features.shape[1] != number + self.with_slice_roi:
            raise ValueError(
                f'{type(self).__name__} with slice_roi={self.with_slice_roi} reads {number + self.with_slice_roi} RoIs per '
                f'slice, not {mask_features.shape[1]}: store RoIs with a config that has the same slice_roi and num_rois'
            )
        if mask_features.shape[2:] != self.feature_shape:
            channels, *size = mask_features.shape[2:]
            raise ValueError(
                f'{type(self).__name__} reads mask features with in_channels={self.feature_shape[0]} and '
                f'roi_size={self.feature_shape[1]}, but the mask head gives {channels} channels of {size[0]} x {size[1]}: set '
                'in_channels and roi_size of the cls_head accordingly'
            )
        if self.with_slice_roi:
            mask_features, slice_features = mask_features[:, :-1], mask_features[:, -1]
        roi_features = self.vectors(mask_features.flatten(0, 1), num_slices)
        ranked, roi_weights = roi_features, self.affinity.roi_weights.expand(num_slices, -1)
        if rois.rank_weights is not None:
            rank_weights = rois.rank_weights.to(roi_features.dtype)
            ranked = rank_weights.transpose(1, 2) @ roi_features
            roi_weights = rank_weights @ self.affinity.roi_weights
        affinity, features = self.affinity(ranked)
        if self.with_slice_roi:
            slice_vector = self.slice_vectorization(slice_features, num_slices)
            features = features + self.slice_weight * slice_vector.squeeze(1)
            roi_features = torch.cat([roi_features, slice_vector], dim=1)
            roi_weights = torch.cat([roi_weights, self.slice_weight.expand(num_slices, 1)], dim=1)
        return dict(
            logits=self.classifier(features),
            roi_features=roi_features,
            affinity=affinity,
            features=features,
            roi_weights=roi_weights,
        )
