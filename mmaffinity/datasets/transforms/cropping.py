"""Cropping a slice to the body."""

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from .loading import origin_of


@TRANSFORMS.register_module()
class CropToBodyBox(BaseTransform):
    """Crop a labelled slice to the body box in its list, as the authors of COVIDx-CT do.

    Air, table and blankets around the body differ between scanners, and a model trained on several hospitals may learn from
    them. The crop becomes the slice: ``ori_shape`` is its size, and lesions, overlays and maps are in its pixels.

    Required keys: ``img`` of shape (H, W); ``body_box``, xmin ymin xmax ymax in pixels, maxima exclusive. Changed keys:
    ``img``, ``img_shape``, ``ori_shape``, all of the crop. Added: ``crop_box``, a copy of ``body_box``.

    Place it after ``LoadCTSlice`` and before ``Resize``, in the training, validation and test pipelines alike. Lists from
    ``mmaffinity convert covidx-ct`` contain body boxes; scans read by ``mmaffinity predict`` have none.

    Args:
        required: raise an error if a slice has no body box, instead of leaving it uncropped.
    """

    def __init__(self, required: bool = True) -> None:
        self.required = required

    def transform(self, results: dict) -> dict:
        """Crop the slice.

        Raises:
            ValueError: if a required body box is missing, it extends beyond the slice, or lesions are already loaded, which
                cropping does not shift.
        """
        box = results.get('body_box')
        if box is None:
            if self.required:
                raise ValueError(
                    f'the slice {results.get("img_path")}{origin_of(results)} has no body_box for CropToBodyBox: '
                    'remove CropToBodyBox from every pipeline, or add the box to the list (docs/data.md)'
                )
            return results
        lesions = {'gt_bboxes', 'gt_masks'} & results.keys()
        if lesions:
            raise ValueError(
                f'CropToBodyBox does not shift the lesions ({", ".join(sorted(lesions))}) of '
                f'{results.get("img_path")}: it is for labelled slices; remove it from this pipeline'
            )
        xmin, ymin, xmax, ymax = box
        height, width = results['img'].shape[:2]
        if not (0 <= xmin < xmax <= width and 0 <= ymin < ymax <= height):
            raise ValueError(
                f'the body_box {list(box)} is empty or extends beyond {results.get("img_path")}{origin_of(results)}, which '
                f'is {width} x {height} pixels (width x height): correct the list, or restore its images'
            )
        results['img'] = results['img'][ymin:ymax, xmin:xmax]
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        results['crop_box'] = tuple(box)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(required={self.required})'
