"""MMDetection's visualizer with this package's overlays."""

from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only

from mmaffinity.structures import SliceDataSample

from .overlays import draw_overlay
from .saving import save_image


@VISUALIZERS.register_module()
class SliceVisualizer(DetLocalVisualizer):
    """Draw slices with :func:`draw_overlay` wherever MMDetection draws images.

    The names of the slice and lesion classes come from the data set (``slice_classes`` and ``classes`` of its meta
    information). Ground truth and prediction are drawn in one image, with different line styles, instead of side by side as in
    :class:`DetLocalVisualizer`.

    Args:
        name: name of the instance.
        max_objects: maximum number of lesions drawn, highest scores first.
        show_rois: also draw the RoIs used for classification, with rank and weight.
        **kwargs: further arguments of :class:`DetLocalVisualizer` (``vis_backends``, ``save_dir``, ...).
    """

    def __init__(self, name: str = 'visualizer', max_objects: int = 100, show_rois: bool = False, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.max_objects = max_objects
        self.show_rois = show_rois

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a slice and send the image to a window, a file or the backends.

        Args:
            name: name of the image for the backends.
            image: the slice, uint8 or float with 8-bit grey levels, grayscale (H, W) or RGB (H, W, 3).
            data_sample: its ground truth and prediction; None draws the slice alone.
            draw_gt: draw the ground truth, if known.
            draw_pred: draw the prediction.
            show: also open a window, which requires a display.
            wait_time: seconds for which the window stays open; 0 waits for a key.
            out_file: file to write instead of using the backends; always a PNG, any other extension is replaced.
            pred_score_thr: lesions with a lower score are omitted.
            step: step number for the backends.

        Raises:
            ValueError: from :func:`draw_overlay` and :func:`save_image`.
        """
        meta = self.dataset_meta or {}
        drawn = draw_overlay(
            image,
            SliceDataSample() if data_sample is None else data_sample,
            meta.get('slice_classes'),
            score_thr=pred_score_thr,
            max_objects=self.max_objects,
            show_gt=draw_gt,
            show_pred=draw_pred and data_sample is not None,
            show_rois=self.show_rois,
            lesion_names=meta.get('classes') or ('lesion',),
            name=name if data_sample is None else None,
        )
        self.set_image(drawn)  # so that get_image() returns it, as in MMDetection
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            # MMDetection's hook names the file after the slice, which may be a JPEG; lossy compression would blur the lines.
            save_image(drawn, Path(out_file).with_suffix('.png'))
        else:
            self.add_image(name, drawn, step)
