"""Convert a DICOM slice's pixel data to Hounsfield units."""

from typing import Any

import numpy as np

from mmaffinity.utils.optional import install_command, require, without_warnings

from .compressed_pixels import check_compressed
from .dicom_header import DicomHeader
from .dicom_reading import read_dataset, transfer_syntax
from .dicom_values import numbers, shown, values_of, whole_number
from .items import ReadOptions
from .notes import WARNING
from .opening import brief, printable
from .plausibility import Tally
from .stored_bits import stored_values
from .windowing import AIR, Window

TISSUE = (-900.0, 3071.0)  # HU; a padding value between these would blank parts of the body
PROBABLY_AIR = -800.0  # HU
AIR_SHARE = 0.02  # of a slice's pixels; every axial slice contains at least this much air
ITEM = b'\xfe\xff\0\xe0'  # start of compressed pixel data (DICOM PS3.5, annex A.4)


@without_warnings()  # on odd header values and by decoders
def read_hounsfield(header: DicomHeader, options: ReadOptions) -> tuple[np.ndarray, list[str]]:
    """Read a slice in Hounsfield units.

    Args:
        header: the slice's header.
        options: ``rescale`` applies if the file has no rescale tags; ``window`` applies if it is unclear whether a
            MONOCHROME1 file stores inverted values.

    Returns:
        Hounsfield units as stored, float64 (rows, columns), and notes on assumptions.

    Raises:
        ValueError: if pydicom or its plugin for the compression is missing, or the pixels are truncated, damaged or of
            unknown unit.
    """
    data = header.frame.read() if header.frame else read_dataset(header.path)
    notes: list[str] = []
    words = decode(data, header.shape)
    stored = stored_values(words, data, notes)
    slope, intercept = _rescale_of(data, stored, options, notes)
    padding = _padding_mask(data, (stored, words), slope, intercept, notes)
    hu = stored.astype(np.float64) * slope + intercept
    if str(data.get('PhotometricInterpretation', '')).strip() == 'MONOCHROME1':
        hu = _upright(hu, stored, data, (slope, intercept), options.window, padding, notes)
    doubt = Tally().add(hu[~padding]).doubt()
    hu[padding] = AIR
    return hu, [*notes, doubt] if doubt else notes


def decode(data: Any, shape: tuple[int, int]) -> np.ndarray:
    """Decode a dataset's pixels, (rows, columns) given by ``shape``, after checking their size.

    Unused bits are kept; see :func:`.stored_bits.stored_values`.

    Raises:
        ValueError: if they are truncated, damaged, of the wrong size, or in a compression that no installed package reads.
    """
    syntax = transfer_syntax(data)
    if 'PixelData' not in data:
        raise ValueError(
            'has floating-point pixels, which CT images do not allow: export the slice with integer pixels'
            if 'FloatPixelData' in data or 'DoubleFloatPixelData' in data
            else 'has no pixel data'
        )
    bits = whole_number(data, 'BitsAllocated', 0)
    if not bits:
        raise ValueError('has no BitsAllocated, so its pixels cannot be decoded: export the slice again')
    try:
        raw = data.PixelData
        if raw[:4] == ITEM and not syntax.is_encapsulated:
            raise ValueError('they are compressed, but the transfer syntax says that they are not: correct TransferSyntaxUID')
        if syntax.is_encapsulated:
            if raw[:4] != ITEM:
                raise ValueError('they are not compressed, but the transfer syntax claims it: correct TransferSyntaxUID')
            check_compressed(data, shape, bits, run_lengths=syntax.name.startswith('RLE'))
        else:
            needed = shape[0] * shape[1] * bits // 8
            if len(raw) < needed:
                raise ValueError(f'pixel data is truncated: {len(raw)} of {needed} bytes')
        pixels = _decompressed(data, syntax) if syntax.is_encapsulated else _pixel_array(data)
    except (MemoryError, Exception) as error:
        # Messages are truncated, so the fix comes before the library's text. Suggest a plugin only if one is missing: pydicom
        # mentions "all available plugins" even for damaged pixels.
        lacking = 'missing dependenc' in str(error) or 'does not support' in str(error)
        extra = 'medical' if syntax.name.startswith('JPEG-LS') else 'jpeg'
        hint = f'this compression needs a plugin of pydicom: {install_command(extra)}; ' if lacking else ''
        raise ValueError(f'its pixels cannot be decoded ({syntax.name}): {hint}{brief(error, 120)}') from error
    if pixels.shape != shape:
        raise ValueError(f'its pixels decode to {pixels.shape}, but the header says {shape}')
    return pixels


def _decompressed(data: Any, syntax: Any) -> np.ndarray:
    """Decode with pydicom's first suitable plugin, never with GDCM, which crashes the process on some damaged files."""
    decoder = require('pydicom.pixels', 'medical').get_decoder(syntax)
    plugins = [name for name in decoder.available_plugins if name != 'gdcm']
    if not plugins:
        raise ValueError('missing dependencies: no installed pydicom plugin reads it')
    reasons = []
    for name in plugins:
        try:
            return _pixel_array(data, decoding_plugin=name)
        except (MemoryError, Exception) as error:
            reasons.append(f'{name}: {brief(error, 100)}')
    raise ValueError('; '.join(reasons))


def _pixel_array(data: Any, **options: str) -> np.ndarray:
    # pydicom clears unused bits only for some encodings, and ignores HighBit.
    data.pixel_array_options(correct_unused_bits=False, **options)
    return data.pixel_array


def _rescale_of(data: Any, stored: np.ndarray, options: ReadOptions, notes: list[str]) -> tuple[float, float]:
    slope, intercept = (_rescale_entry(data, keyword, notes) for keyword in ('RescaleSlope', 'RescaleIntercept'))
    if slope is not None and intercept is not None:
        if slope == 0:
            raise ValueError(f'has RescaleSlope {slope} and RescaleIntercept {intercept}, which do not give Hounsfield units')
        unit = str(data.get('RescaleType') or 'HU').strip()
        if unit not in ('HU', 'HU_MOD', 'US'):
            notes.append(f'{WARNING}RescaleType is {printable(unit)[:16]}, treated as Hounsfield units')
        return slope, intercept
    if options.rescale is not None:
        slope, intercept = options.rescale
        notes.append(f'no rescale tags: the given slope {slope:g} and intercept {intercept:g} were used')
        return slope, intercept
    low, high = int(stored.min()), int(stored.max())
    if low <= -500:
        notes.append(f'no rescale tags: stored values ({low} to {high}) were treated as Hounsfield units')
        return 1.0, 0.0
    raise ValueError(
        f'has no rescale tags and stored values {low} to {high}, so the Hounsfield units are unknown; for '
        '12-bit values that start at air, use slope 1 and intercept -1024 (--rescale 1 -1024)'
    )


def _rescale_entry(data: Any, keyword: str, notes: list[str]) -> float | None:
    found = numbers(data, keyword, 1, notes)
    if found is None and values_of(data, keyword):
        raise ValueError(f'has {shown(data, keyword)}, not a number, so there are no Hounsfield units: correct this entry')
    return None if found is None else found[0]


def _padding_mask(
    data: Any, rasters: tuple[np.ndarray, np.ndarray], slope: float, intercept: float, notes: list[str]
) -> np.ndarray:
    """Return the mask of pixels outside the field of view, which the header gives as values or as words with more bits."""
    nothing = np.zeros(rasters[0].shape, dtype=bool)
    value, limit = (numbers(data, f'PixelPadding{name}', 1, notes) for name in ('Value', 'RangeLimit'))
    if value is None:
        return nothing
    ends = sorted((int(value[0]), int((limit or value)[0])))
    # Some writers store the padding value as unsigned although the pixels are signed.
    if data.get('PixelRepresentation') == 1 and ends[0] >= 2**15:
        ends = [end - 2**16 for end in ends]
    values = [end * slope + intercept for end in ends]
    if any(TISSUE[0] < hu < TISSUE[1] for hu in values):
        notes.append(f'PixelPaddingValue {ends[0]} is {values[0]:g} HU, which is tissue: ignored')
        return nothing
    for raster in rasters:
        nothing |= (raster >= ends[0]) & (raster <= ends[1])
    return nothing


def _upright(
    hu: np.ndarray,
    stored: np.ndarray,
    data: Any,
    rescale: tuple[float, float],
    window: Window,
    padding: np.ndarray,
    notes: list[str],
) -> np.ndarray:
    """Undo the inversion of a MONOCHROME1 slice.

    The tag means that low values are displayed white. Some writers also invert the stored values; others store true Hounsfield
    units and only request an inverted display. Air distinguishes the two. Without air, the slice is inverted as displayed.
    """
    bits = int(data.get('BitsStored') or data.BitsAllocated)
    total = -1 if data.get('PixelRepresentation') == 1 else 2**bits - 1
    mirrored = (total - stored.astype(np.float64)) * rescale[0] + rescale[1]
    if _air_share(hu, padding) >= AIR_SHARE:
        notes.append('MONOCHROME1, but the stored values are Hounsfield units: not inverted')
        return hu
    if _air_share(mirrored, padding) >= AIR_SHARE:
        notes.append('MONOCHROME1: stored values were inverted')
        return mirrored
    notes.append(f'{WARNING}MONOCHROME1 without air: the slice was inverted as a viewer would display it')
    high = window.low + window.width
    inside = [np.count_nonzero((values >= window.low) & (values <= high)) for values in (mirrored, hu)]
    return mirrored if inside[0] >= inside[1] else 2 * window.level - hu


def _air_share(hu: np.ndarray, padding: np.ndarray) -> float:
    """Return the share of pixels outside the padding with values of measured air, -1100 to -800 HU."""
    seen = max(1, padding.size - int(np.count_nonzero(padding)))
    return np.count_nonzero((hu < PROBABLY_AIR) & (hu > -1100) & ~padding) / seen
