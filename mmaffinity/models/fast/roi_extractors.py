"""RoI extraction from a single feature level, fast on CPUs."""

from typing import Any

from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import Tensor, nn

from mmaffinity.ops import RoIAlign, sparse_roi_align


@MODELS.register_module()
class SparseRoIAlign(RoIAlign):
    """:class:`RoIAlign` that uses :func:`sparse_roi_align` on CPUs, an order of magnitude faster.

    The two sum in a different order and differ in the last bits. :class:`RoIAlign` itself runs on other devices and where the
    sparse form does not apply: maximum pooling and an adaptive number of samples (``sampling_ratio=0``).
    """

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        """Pool RoIs (R, 5), batch index and x1 y1 x2 y2, from features (N, C, H, W) to shape (R, C, height, width)."""
        if features.is_cpu and self.pool_mode == 'avg' and self.sampling_ratio > 0:
            return sparse_roi_align(features, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)
        return super().forward(features, rois)


@MODELS.register_module()
class SingleLevelRoIExtractor(SingleRoIExtractor):
    """:class:`SingleRoIExtractor` for one feature level; its RoI layer may be a registered one like :class:`SparseRoIAlign`.

    It reads features in any memory layout (``reads_channels_last``), and avoids the full-size map of zeros that the parent
    class allocates although one level does not need it.

    Raises:
        ValueError: if ``featmap_strides`` does not have exactly one level.
    """

    reads_channels_last = True

    def __init__(self, roi_layer: ConfigType, out_channels: int, featmap_strides: list[int], **kwargs: Any) -> None:
        if len(featmap_strides) != 1:
            raise ValueError(
                f'SingleLevelRoIExtractor reads one feature level, but featmap_strides is {featmap_strides}; '
                "use type='SingleRoIExtractor'"
            )
        super().__init__(roi_layer=roi_layer, out_channels=out_channels, featmap_strides=featmap_strides, **kwargs)

    def build_roi_layers(self, layer_cfg: ConfigType, featmap_strides: list[int]) -> nn.ModuleList:
        """Build the RoI layer: the one registered under its name or, failing that, mmcv's."""
        registered = MODELS.get(layer_cfg['type']) if isinstance(layer_cfg['type'], str) else None
        if registered is not None:
            layer_cfg = {**layer_cfg, 'type': registered}
        return super().build_roi_layers(layer_cfg, featmap_strides)

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Extract the features of RoIs (R, 5), shape (R, C, S, S)."""
        if len(rois) == 0:
            # Keep the result connected to the map, so that a step without positive RoIs still reaches every parameter.
            empty = feats[0].new_zeros((0, self.out_channels, *self.roi_layers[0].output_size))
            return empty + feats[0].sum() * 0
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        layer = self.roi_layers[0]
        if isinstance(layer, RoIAlign):
            return layer(feats[0], rois)
        # mmcv's compiled layers read memory as channels first, and need RoIs of the features' dtype.
        return layer(feats[0].contiguous(), rois.type_as(feats[0]).contiguous())
