"""Loading of slices, from files or arrays."""

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from mmaffinity.utils.decoding import MAX_PIXELS, array_to_grey, check_max_value, read_slice


@TRANSFORMS.register_module()
class LoadCTSlice(BaseTransform):
    """Read the slice at ``img_path`` as a grayscale image; see :func:`~mmaffinity.utils.decoding.read_slice` for formats.

    Required keys: ``img_path``; optional: ``ann_file`` and ``row``, for error messages, and ``height`` and ``width``, which
    must match the file.

    Added keys: ``img`` of shape (H, W), uint8 or (16-bit files) float32 with 8-bit grey levels; ``img_shape``
    and ``ori_shape``, (H, W).

    Args:
        max_value: pixel value of white in a 16-bit file, such as 4095 for 12-bit content. None means 65535. 8-bit files are not
            affected.
        max_pixels: largest accepted height x width in pixels, checked before decoding.

    Raises:
        ValueError: if ``max_value`` is outside 1..65535 or ``max_pixels`` is not positive.
    """

    def __init__(self, max_value: int | None = None, max_pixels: int = MAX_PIXELS) -> None:
        check_max_value(max_value)
        if max_pixels < 1:
            raise ValueError(f'max_pixels={max_pixels} must be positive')
        self.max_value = max_value
        self.max_pixels = max_pixels

    def transform(self, results: dict) -> dict:
        """Add the slice to ``results``.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if it is not a complete image of an accepted format, or does not have the annotated size.
        """
        try:
            img = read_slice(results['img_path'], self.max_value, self.max_pixels)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f'{error}{origin_of(results)}') from error
        check_annotated_size(results, img.shape)
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_value={self.max_value}, max_pixels={self.max_pixels})'


@TRANSFORMS.register_module()
class LoadCTSliceFromArray(BaseTransform):
    """Take the slice from an array in ``img`` instead of a file.

    Accepts arrays of shape (H, W), (H, W, 1), (H, W, 3) and (H, W, 4) (alpha is ignored), of type bool (black and white),
    uint8, uint16, or float with 8-bit grey levels (0 to 255).

    Added or changed keys: as for :class:`LoadCTSlice`, and ``img_path``, None if absent.

    Args:
        max_value: pixel value of white in uint16 arrays; None means 65535.
        channel_order: 'bgr' (as in OpenCV and MMDetection) or 'rgb'.

    Raises:
        ValueError: if an argument is invalid.
    """

    def __init__(self, max_value: int | None = None, channel_order: str = 'bgr') -> None:
        check_max_value(max_value)
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(f'channel_order={channel_order!r} must be "bgr" or "rgb"')
        self.max_value = max_value
        self.channel_order = channel_order

    def transform(self, results: dict) -> dict:
        """Replace ``img`` with a grayscale slice.

        Raises:
            ValueError: if the array has an unsupported shape, type or range.
        """
        results['img'] = img = array_to_grey(results['img'], self.max_value, self.channel_order)
        results['img_shape'] = results['ori_shape'] = img.shape
        results.setdefault('img_path', None)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_value={self.max_value}, channel_order={self.channel_order!r})'


def check_annotated_size(results: dict, shape: tuple[int, int]) -> None:
    """Check that an image file has the annotated size, if there is one.

    Args:
        results: what a data set gives for the slice; ``height`` and ``width`` in pixels are optional.
        shape: height and width of the file's image in pixels.

    Raises:
        ValueError: if the sizes differ; masks and boxes would be misplaced.
    """
    annotated = results.get('height', shape[0]), results.get('width', shape[1])
    if annotated != tuple(shape):
        raise ValueError(
            f'image file {results["img_path"]} is {shape[0]} x {shape[1]} (height x width), '
            f'but annotated as {annotated[0]} x {annotated[1]}{origin_of(results)}: correct width '
            'and height in the annotations (if mmaffinity convert wrote them, run it again), or restore the '
            'annotated image'
        )


def origin_of(results: dict) -> str:
    """Return where the annotations list this slice, or ''; rows count from 0, as in ``data_list[row]`` or ``images[row]``."""
    if results.get('ann_file') is None or results.get('row') is None:
        return ''
    return f' (row {results["row"]} of {results["ann_file"]})'
