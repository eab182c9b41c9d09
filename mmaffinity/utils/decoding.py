"""Decode image files into grayscale slices, without partial reads or silent rescaling.

OpenCV decodes the pixels, as in the published code. But it is lenient: depending on version and code path, it returns a partly
grey image for a truncated JPEG. The structure of the file is therefore verified first, which also gives the image size before
memory is allocated for it.
"""

import io
import struct
import threading
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmaffinity.utils.wording import plural

MAX_PIXELS = 64 * 1024**2  # 8192 x 8192; CT slices have 512 x 512, rarely 1024 x 1024 or 2048 x 2048

DARKEST_PEAK, DARKEST_GIVEN = 0.75, 0.25  # fractions of white, see far_below_white()

PHOTOMETRIC = 262  # TIFF tag; 0 is 'white is zero'
_FILTERS = threading.Lock()

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_JPEG_SIGNATURE = b'\xff\xd8'
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length field
# EXIF orientation is applied, as in cv2.imread(path, cv2.IMREAD_GRAYSCALE) and in every viewer.
_FLAGS = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH


def read_slice(path: str | Path, max_value: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a PNG, JPEG, TIFF, BMP, WebP, PBM, PGM or PPM file as a grayscale slice, whatever its extension.

    OpenCV converts colour to grayscale. Alpha is ignored, palettes are resolved, 1-bit values become 0 and 255, and EXIF
    orientation is applied. The result for 8-bit files equals ``cv2.imread(path, cv2.IMREAD_GRAYSCALE)``.

    Args:
        path: image file.
        max_value: pixel value of white in a 16-bit file: 4095 for 12-bit content. None means 65535. 8-bit files are not
            affected.
        max_pixels: largest accepted height x width, checked before decoding.

    Returns:
        Slice of shape (H, W): uint8, or float32 with 8-bit grey levels (0 to 255) for 16-bit files.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is empty, truncated, damaged, not an image, larger than ``max_pixels``, has several pages, has
            pixels other than 8- or 16-bit unsigned, or has a pixel above ``max_value``.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'no such image file: {path}') from None
    except OSError as error:
        raise ValueError(f'image file {path} cannot be read: {error.strerror or error}') from error
    try:
        return decode_slice(content, max_value, max_pixels)
    except ValueError as error:
        raise ValueError(f'image file {path} {error}') from error


def decode_slice(content: bytes, max_value: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the bytes of an image file; see :func:`read_slice`. Error messages do not name the file."""
    white_is_zero = _check_content(content, max_pixels)
    img = _decode(content, _FLAGS)
    grey = to_grey_levels(img, max_value)
    # OpenCV inverts such files itself, except those with 16 bits.
    return np.float32(255) - grey if white_is_zero and img.dtype == np.uint16 else grey


def decode_color(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the bytes of an image file in colour, as MMDetection's ``LoadImageFromFile`` does.

    It accepts the same files as :func:`decode_slice`, and applies EXIF orientation. A grayscale image becomes three equal
    channels, and 16 bits become 8.

    Returns:
        BGR uint8, shape (H, W, 3).

    Raises:
        ValueError: as for :func:`read_slice`; the message does not name the file.
    """
    _check_content(content, max_pixels)
    return _decode(content, cv2.IMREAD_COLOR)


def starts_like_image(head: bytes) -> bool:
    """Return whether the first 32 bytes of a file belong to a format that :func:`decode_slice` reads."""
    if head.startswith((_PNG_SIGNATURE, b'\xff\xd8\xff', b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')):
        return True
    if head[:2] == b'BM':  # text may also start with these letters; the size of the second header decides
        return head[14:18] in {struct.pack('<I', size) for size in (12, 16, 40, 52, 56, 64, 108, 124)}
    is_portable = head[:1] == b'P' and head[1:2] in b'123456' and head[2:3].isspace()
    return is_portable or (head[:4] == b'RIFF' and head[8:12] == b'WEBP')


def to_grey_levels(img: np.ndarray, max_value: int | None = None) -> np.ndarray:
    """Convert a grayscale array of shape (H, W) to uint8, or from uint16 to float32 with 8-bit grey levels.

    Raises:
        ValueError: if the pixel type is neither uint8 nor uint16, or a uint16 pixel is above ``max_value``.
    """
    if img.dtype == np.uint8:
        return img
    if img.dtype != np.uint16:
        raise ValueError(
            f'has {img.dtype} pixels of unknown range: map a window of Hounsfield units to 8-bit or '
            '16-bit unsigned grey levels first'
        )
    peak = int(img.max(initial=0))
    if max_value is None:
        max_value = 65535
        if far_below_white(peak):
            low = int(img.min())
            advice = (
                'set the pixel value of white, for example 4095 for 12-bit content (max_value=4095 in '
                'LoadCTSlice, --max-value 4095 of mmaffinity predict); if its values are Hounsfield units plus an '
                'offset, save them in a lung window instead'
            )
            if 2 * low > peak:
                advice = (
                    f'its values start at {low}: if they are Hounsfield units plus an offset, save them in a lung window '
                    '(level -600, width 1500) as 8 bits; no max_value (--max-value) makes them grey levels'
                )
            warnings.warn(f'a 16-bit slice whose brightest pixel is {peak} of {max_value} is too dark: {advice}', stacklevel=2)
    if peak > max_value:
        raise ValueError(f'has a pixel of value {peak}, above max_value={max_value}: raise max_value')
    return img * np.float32(255.0 / max_value)


def far_below_white(peak: int, max_value: int | None = None) -> bool:
    """Return whether a 16-bit slice's brightest pixel is so dark that white is probably another value.

    Training slices contain bone and soft tissue, so their brightest pixel is nearly white. The threshold is three quarters of
    65535, or a quarter of a user-supplied value.
    """
    return 0 < peak < (DARKEST_PEAK * 65535 if max_value is None else DARKEST_GIVEN * max_value)


def _check_content(content: bytes, max_pixels: int) -> bool:
    """Check that a file is a complete image of one page and an accepted size; return whether zero is white."""
    if not content:
        raise ValueError('is empty (0 bytes): copy, export or download it again')
    if content.startswith(_PNG_SIGNATURE):
        size = _check_png(content)
    elif content.startswith(_JPEG_SIGNATURE):
        size = _check_jpeg(content)
    else:
        return _check_other(content, max_pixels)
    _check_size(*size, max_pixels)
    return False


def _decode(content: bytes, flags: int) -> np.ndarray:
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f'cannot be decoded: {error.err}') from error
    if img is None:
        raise ValueError('is damaged, or of a variant that OpenCV cannot decode: save it again as PNG')
    return img


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ValueError(
            f'has {width} x {height} = {width * height} pixels, more than max_pixels={max_pixels}: '
            'downscale it, or raise max_pixels if the loader has this option'
        )


def _check_png(content: bytes) -> tuple[int, int]:
    """Walk the chunks to IEND, verifying the checksums of critical chunks; return width and height."""
    view = memoryview(content)
    position, size = len(_PNG_SIGNATURE), None
    while position + 12 <= len(content):
        length, kind = struct.unpack_from('>I4s', content, position)
        end = position + 12 + length
        if end > len(content):
            break
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(view[position + 4 : end - 4]) != struct.unpack_from('>I', content, end - 4)[0]:
            raise ValueError(f'is a damaged PNG: wrong checksum at byte {position}')
        if kind == b'IHDR' and length == 13:
            size = struct.unpack_from('>II', content, position + 8)
        if kind == b'IEND' and size is not None:
            return size
        position = end
    raise ValueError(f'is a truncated PNG: it ends after {plural(len(content), "byte")} without an end marker')


def _check_jpeg(content: bytes) -> tuple[int, int]:
    """Walk the segments to the first scan, then find the end-of-image marker; return width and height.

    Within a scan, every 0xFF byte is followed by a stuffed 0x00 or a restart marker, so the end marker cannot occur there by
    chance. Before the scan it can (for example in an EXIF thumbnail), which is why the segments are walked.
    """
    truncated = ValueError(f'is a truncated JPEG: it ends after {plural(len(content), "byte")} without an end marker')
    position, size = 2, None
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            raise ValueError(f'is a damaged JPEG: no marker at byte {position}')
        marker = content[position + 1]
        if marker == 0xFF or marker in _JPEG_BARE:  # fill byte, or marker without content
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_FRAMES and position + 9 <= len(content):
            height, width = struct.unpack_from('>HH', content, position + 5)
            size = width, height
        if marker == 0xDA and size is not None:
            if content.find(b'\xff\xd9', position) < 0:
                raise truncated
            return size
        position += 2 + struct.unpack_from('>H', content, position + 2)[0]
    raise truncated


def _check_other(content: bytes, max_pixels: int) -> bool:
    """Check formats that are rare for slices, loading the file with Pillow to detect truncation.

    Returns:
        Whether zero is white.
    """
    try:
        # Pillow warns about conditions that are errors here, and about odd metadata. Threads share the warning filters:
        # overlapping blocks would leave them changed, and a wider filter would also silence other threads' warnings.
        with _FILTERS, warnings.catch_warnings():
            warnings.filterwarnings('ignore', module=r'PIL\.')
            with Image.open(io.BytesIO(content), formats=('BMP', 'PPM', 'TIFF', 'WEBP')) as image:
                _check_size(*image.size, max_pixels)
                pages = getattr(image, 'n_frames', 1)
                white_is_zero = image.format == 'TIFF' and getattr(image, 'tag_v2', {}).get(PHOTOMETRIC) == 0
                if pages == 1:
                    image.load()
    except UnidentifiedImageError:
        raise ValueError(f'is not an image: {_guess_kind(content)}') from None
    except Image.DecompressionBombError as error:
        raise ValueError(f'has more pixels than max_pixels={max_pixels} and the limit of Pillow: {error}') from error
    except ValueError as error:
        if 'max_pixels' in str(error):
            raise
        raise ValueError(f'is truncated or damaged: {error}') from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, KeyError and others
        raise ValueError(f'is truncated or damaged: {error}') from error
    if pages > 1:
        raise ValueError(f'has {pages} pages: save one slice per file')
    return white_is_zero


def _guess_kind(content: bytes) -> str:
    """Describe what a non-image file looks like, and how to fix it."""
    if content[128:132] == b'DICM':
        return 'it looks like DICOM; save the slice as PNG, with a lung window of Hounsfield units as grey levels'
    if content.startswith(b'\x1f\x8b'):
        return 'it is gzip-compressed (a NIfTI volume?); save its slices as PNG'
    if content.startswith(b'PK'):
        return 'it is a zip archive; unpack it'
    if content.startswith(b'version https://git-lfs'):
        return 'it is a Git LFS pointer; fetch the file itself with git lfs pull'
    if content.lstrip()[:1] == b'<':
        return 'it looks like a web page, perhaps from a failed download'
    if not content.strip(b'\0'):
        return f'it consists of {plural(len(content), "zero byte")}; copy, export or download it again'
    return f'it starts with {content[:12]!r}; supported are PNG, JPEG, TIFF, BMP, WebP, PBM, PGM and PPM'


def array_to_grey(img: np.ndarray, max_value: int | None = None, channel_order: str = 'bgr') -> np.ndarray:
    """Convert an array to a grayscale slice; the transform ``LoadCTSliceFromArray`` lists the accepted forms.

    Args:
        img: the array.
        max_value: pixel value of white in uint16 arrays; None means 65535.
        channel_order: 'bgr' or 'rgb'.

    Raises:
        ValueError: if its shape, type or range is not accepted.
    """
    if not isinstance(img, np.ndarray):
        raise ValueError(f'a slice must be a NumPy array, not {type(img).__name__}')
    if img.ndim not in (2, 3) or 0 in img.shape or (img.ndim == 3 and img.shape[2] not in (1, 3, 4)):
        raise ValueError(f'an array of shape {img.shape} is not a slice: use (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)')
    if not img.dtype.isnative:
        img = img.astype(img.dtype.newbyteorder('='))
    if img.dtype == np.bool_:
        img = img.astype(np.uint8) * np.uint8(255)
    elif np.issubdtype(img.dtype, np.floating):
        img = _check_float(img)
    elif img.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f'an array of {img.dtype} has an unknown range: map a window of Hounsfield units to grey '
            'levels 0..255 (uint8 or float) first'
        )
    if img.ndim == 3 and img.shape[2] == 1:
        img = img[..., 0]
    elif img.ndim == 3:
        code = cv2.COLOR_BGR2GRAY if channel_order == 'bgr' else cv2.COLOR_RGB2GRAY
        img = cv2.cvtColor(np.ascontiguousarray(img[..., :3]), code)
    if img.dtype == np.uint16:
        try:
            img = to_grey_levels(img, max_value)
        except ValueError as error:
            raise ValueError(f'the array {error}') from error
    return np.ascontiguousarray(img)


def array_to_color(img: np.ndarray) -> np.ndarray:
    """Convert a uint8 array of shape (H, W), (H, W, 1), BGR (H, W, 3) or BGRA (H, W, 4) to a colour image, BGR (H, W, 3).

    Raises:
        ValueError: if the array has another shape or type.
    """
    if not isinstance(img, np.ndarray) or img.dtype != np.uint8:
        kind = img.dtype if isinstance(img, np.ndarray) else type(img).__name__
        raise ValueError(f'a colour image must be a NumPy array of uint8, not {kind}')
    if img.ndim not in (2, 3) or 0 in img.shape or (img.ndim == 3 and img.shape[2] not in (1, 3, 4)):
        raise ValueError(f'an array of shape {img.shape} is not an image: use (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)')
    if img.ndim == 2 or img.shape[2] == 1:
        return cv2.cvtColor(np.ascontiguousarray(img), cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(img[..., :3])


def _check_float(img: np.ndarray) -> np.ndarray:
    low, high = float(img.min()), float(img.max())
    if not (low >= 0 and high <= 255):  # also catches NaN
        raise ValueError(f'a float array must contain grey levels 0..255, but this one has {low:g}..{high:g}')
    if 0 < high <= 1:
        raise ValueError(
            f'a float array must contain grey levels 0..255, but its maximum is {high:g}: multiply an array in 0..1 by 255'
        )
    return img.astype(np.float32)


def check_max_value(max_value: int | None) -> None:
    """Check that a value is valid as white of 16-bit slices.

    Raises:
        ValueError: if it is not.
    """
    if max_value is not None and not 1 <= max_value <= 65535:
        raise ValueError(f'max_value={max_value} must be within 1..65535, or None for 65535')
