"""Anchors as in the published code."""

from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import TASK_UTILS
from torch import Tensor


@TASK_UTILS.register_module()
class RoundedAnchorGenerator(AnchorGenerator):
    """:class:`AnchorGenerator` whose base anchors have integer corners.

    The published code rounds the corners of the base anchors (half to even), which moves small and narrow anchors by up to half
    a pixel. The published weights were trained with this.
    """

    def gen_single_level_base_anchors(
        self, base_size: float, scales: Tensor, ratios: Tensor, center: tuple | None = None
    ) -> Tensor:
        """Return the base anchors of one level, x1 y1 x2 y2 in pixels, shape (num_base_anchors, 4)."""
        return super().gen_single_level_base_anchors(base_size, scales, ratios, center).round()
