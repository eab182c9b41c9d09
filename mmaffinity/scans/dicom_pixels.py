"""Conversion of a DICOM slice's pixel data to Hounsfield units."""

import struct
import warnings
from typing import Any

import numpy as np

from mmaffinity.utils.optional import require

from .dicom_header import DicomHeader, read_dataset
from .dicom_values import numbers, shown, values_of, whole_number
from .items import ReadOptions
from .notes import WARNING
from .opening import brief, printable
from .plausibility import Tally
from .stored_bits import stored_values
from .windowing import AIR, Window

TISSUE = (-900.0, 3071.0)  # HU; a padding value between these would blank parts of the body
PROBABLY_AIR = -800.0  # HU
AIR_SHARE = 0.02  # of a slice's pixels; every axial slice shows at least this much air
MAX_FRAGMENTS = 4096  # of a slice's compressed pixels; most writers use one
ITEM = b'\xfe\xff\0\xe0'  # start of compressed pixel data (DICOM PS3.5, annex A.4)
_JPEG_FRAMES = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}  # F7: JPEG-LS


def read_hounsfield(header: DicomHeader, options: ReadOptions) -> tuple[np.ndarray, list[str]]:
    """Read a slice.

    Args:
        header: the file's header.
        options: ``rescale`` is used if the file has no rescale tags; ``window`` if it is unclear what a MONOCHROME1 file
            inverts.

    Returns:
        Hounsfield units as stored, float64 (rows, columns), and notes on assumptions.

    Raises:
        ValueError: without pydicom or its plugin for the compression, or if the pixels are truncated or damaged, or their unit
            is unknown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # warnings on odd header values
        return _hounsfield(header, options)


def _hounsfield(header: DicomHeader, options: ReadOptions) -> tuple[np.ndarray, list[str]]:
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
    """Decode the pixels of a dataset, (rows, columns) given by ``shape``, after checking their size.

    Unused bits are kept, see :func:`.stored_bits.stored_values`.

    Raises:
        ValueError: if they are truncated, damaged, of another size, or in a compression that no installed package reads.
    """
    syntax = getattr(getattr(data, 'file_meta', None), 'TransferSyntaxUID', None)
    if syntax is None:
        # Files without a preamble; pydicom detected the uncompressed encoding.
        uid = require('pydicom.uid', 'medical')
        implicit, little = data.original_encoding
        syntax = (
            uid.ImplicitVRLittleEndian
            if implicit
            else uid.ExplicitVRLittleEndian
            if little is not False
            else uid.ExplicitVRBigEndian
        )
        meta = require('pydicom.dataset', 'medical').FileMetaDataset()
        meta.TransferSyntaxUID = syntax
        data.file_meta = meta
    if not syntax.is_transfer_syntax:
        raise ValueError(
            f"has the transfer syntax {printable(str(syntax))[:64]}, which is none of DICOM's but perhaps a "
            "vendor's own: export the series again, as explicit VR little endian"
        )
    if 'PixelData' not in data:
        raise ValueError(
            'has pixels of floating-point numbers, which no CT image has: export the slice as integers'
            if 'FloatPixelData' in data or 'DoubleFloatPixelData' in data
            else 'has no pixel data'
        )
    bits = whole_number(data, 'BitsAllocated', 0)
    if not bits:
        raise ValueError('has no BitsAllocated, which says how its pixels are stored')
    try:
        raw = data.PixelData
        if raw[:4] == ITEM and not syntax.is_encapsulated:
            raise ValueError('they are compressed, but the transfer syntax says that they are not: correct TransferSyntaxUID')
        if syntax.is_encapsulated:
            if raw[:4] != ITEM:
                raise ValueError('they are not compressed, but the transfer syntax claims it: correct TransferSyntaxUID')
            run_lengths = syntax.name.startswith('RLE')
            _check_length(raw, shape, bits)
            frame = _only_frame(data)
            if run_lengths:
                _check_run_lengths(frame, shape, bits)
            claimed = codestream_size(frame)
            if claimed is not None and claimed != shape:
                raise ValueError(
                    f'pixel data of {claimed[0]} x {claimed[1]} pixels, but the header says {shape[0]} x {shape[1]}'
                )
            # JPEG-LS decoders silently fill missing data with zeros.
            if frame[:2] in (b'\xff\xd8', b'\xff\x4f') and b'\xff\xd9' not in frame.rstrip(b'\0')[-16:]:
                raise ValueError('pixel data is truncated: its code stream has no end mark')
        else:
            needed = shape[0] * shape[1] * bits // 8
            if len(raw) < needed:
                raise ValueError(f'pixel data is truncated: {len(raw)} of {needed} bytes')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            pixels = _decompressed(data, syntax) if syntax.is_encapsulated else _pixel_array(data)
    except (MemoryError, Exception) as error:
        # Messages are truncated, so the fix precedes the library's text. That mentions "all available plugins" even for damaged
        # pixels, for which nothing needs to be installed.
        lacking = 'missing dependenc' in str(error) or 'does not support' in str(error)
        extra = 'medical' if syntax.name.startswith('JPEG-LS') else 'jpeg'
        hint = f'this compression needs a plugin of pydicom: pip install "mmaffinity[{extra}]"; ' if lacking else ''
        raise ValueError(f'its pixels cannot be decoded ({syntax.name}): {hint}{brief(error, 120)}') from error
    if pixels.shape != shape:
        raise ValueError(f'its pixels decode to {pixels.shape}, but the header says {shape}')
    return pixels


def _decompressed(data: Any, syntax: Any) -> np.ndarray:
    """Decode with pydicom's first suitable plugin, but never with GDCM, which crashes the process on some damaged files."""
    decoder = require('pydicom.pixels', 'medical').get_decoder(syntax)
    plugins = [name for name in decoder.available_plugins if name != 'gdcm']
    if not plugins:
        raise ValueError('missing dependencies: no plugin of pydicom reads it')
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


def _only_frame(data: Any) -> bytes:
    """Return the compressed frame of a dataset.

    Raises:
        ValueError: if there are several, all of which pydicom would decode, whatever number the header gives.
    """
    # Offsets in the header could make pydicom decode another frame than the one checked here.
    for keyword in ('ExtendedOffsetTable', 'ExtendedOffsetTableLengths'):
        if keyword in data:
            delattr(data, keyword)
    frames = require('pydicom.encaps', 'medical').generate_frames(data.PixelData, number_of_frames=1)
    frame = next(frames)
    if next(frames, None) is not None:
        raise ValueError('pixel data has more than one frame, but the header says 1')
    return frame


def _check_length(raw: bytes, shape: tuple[int, int], bits: int) -> None:
    """Refuse compressed pixel data that is longer or has more fragments than from any encoder, before pydicom parses it.

    pydicom creates an object per fragment, and an empty fragment takes only 8 bytes (DICOM PS3.5, annex A.4).
    """
    longest = 2 * shape[0] * shape[1] * max(1, bits // 8) + (1 << 20)
    if len(raw) > longest:
        raise ValueError(
            f'compressed pixel data of {len(raw)} bytes, more than the {longest} that {shape[0]} x {shape[1]} pixels can need'
        )
    position = number = 0
    while position + 8 <= len(raw):
        position += 8 + struct.unpack_from('<I', raw, position + 4)[0]
        number += 1
        if number > MAX_FRAGMENTS:
            raise ValueError(f'compressed pixel data in more than {MAX_FRAGMENTS} fragments')


def _check_run_lengths(frame: bytes, shape: tuple[int, int], bits: int) -> None:
    """Refuse an RLE frame that expands to more than the header's size, at a cost bounded by the slice's size.

    RLE data have no size field; decoders expand each segment to its end, whatever the header says (DICOM PS3.5, annex G).
    """
    if len(frame) < 64:
        raise ValueError(f'pixel data of {len(frame)} bytes, shorter than the head of run lengths')
    number, *starts = struct.unpack_from('<16I', frame)
    expected = max(1, bits // 8)
    if number != expected:
        raise ValueError(f'pixel data of {number} segments of run lengths, but {bits} bits per pixel make {expected}')
    ends = [*starts[1:number], len(frame)]
    # Ordered and disjoint, so that no byte is visited twice.
    if starts[0] < 64 or any(start > end for start, end in zip(starts[:number], ends)):
        raise ValueError('pixel data whose segments of run lengths overlap, or lie outside it')
    pixels = shape[0] * shape[1]
    most = 2 * pixels + 256  # twice the size allows for padding
    for start, end in zip(starts[:number], ends):
        unpacked = 0
        while start < end:
            control = frame[start]
            # Bytes of 128 produce no output but count too, because a segment of them would be traversed to its end.
            unpacked += control + 1 if control < 128 else 257 - control
            start += control + 2 if control < 128 else 2 if control > 128 else 1
            if unpacked > most:
                raise ValueError(
                    f'a segment of run lengths unpacks to more than the {pixels} bytes that {shape[0]} x {shape[1]} pixels have'
                )


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns claimed by a JPEG, JPEG-LS or JPEG 2000 code stream; None for other data.

    Decoders allocate what the code stream claims, whatever the DICOM header says.
    """
    if frame[:4] == b'\xff\x4f\xff\x51' and len(frame) >= 24:
        width, height, left, top = struct.unpack_from('>4I', frame, 8)
        return height - top, width - left
    if frame[:8] == b'\0\0\0\x0cjP  ':
        start = frame.find(b'\xff\x4f\xff\x51')
        return codestream_size(frame[start : start + 64]) if start > 0 else None
    if frame[:2] != b'\xff\xd8':
        return None
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _JPEG_FRAMES:
            return struct.unpack_from('>HH', frame, position + 5)
        position += 2 + struct.unpack_from('>H', frame, position + 2)[0]
    return None


def _rescale_of(data: Any, stored: np.ndarray, options: ReadOptions, notes: list[str]) -> tuple[float, float]:
    slope, intercept = (_rescale_entry(data, keyword, notes) for keyword in ('RescaleSlope', 'RescaleIntercept'))
    if slope is not None and intercept is not None:
        if slope == 0:
            raise ValueError(f'RescaleSlope {slope} and RescaleIntercept {intercept} lead to no Hounsfield units')
        unit = str(data.get('RescaleType') or 'HU').strip()
        if unit not in ('HU', 'HU_MOD', 'US'):
            notes.append(f'{WARNING}RescaleType is {printable(unit)[:16]}, taken as Hounsfield units')
        return slope, intercept
    if options.rescale is not None:
        slope, intercept = options.rescale
        notes.append(f'no rescale tags: the given slope {slope:g} and intercept {intercept:g} were used')
        return slope, intercept
    low, high = int(stored.min()), int(stored.max())
    if low <= -500:
        notes.append(f'no rescale tags: stored values ({low} to {high}) were taken as Hounsfield units')
        return 1.0, 0.0
    raise ValueError(
        f'has no rescale tags and stored values {low} to {high}, so that their Hounsfield units are not '
        'known; if they are 12-bit values that start at air, give slope 1 and intercept -1024 '
        '(--rescale 1 -1024)'
    )


def _rescale_entry(data: Any, keyword: str, notes: list[str]) -> float | None:
    found = numbers(data, keyword, 1, notes)
    if found is None and values_of(data, keyword):
        raise ValueError(f'has {shown(data, keyword)}, which is no number and leads to no Hounsfield units: correct this entry')
    return None if found is None else found[0]


def _padding_mask(
    data: Any, rasters: tuple[np.ndarray, np.ndarray], slope: float, intercept: float, notes: list[str]
) -> np.ndarray:
    """Pixels outside the field of view according to the header, given as values or as words with more bits."""
    nothing = np.zeros(rasters[0].shape, dtype=bool)
    value, limit = (numbers(data, f'PixelPadding{name}', 1, notes) for name in ('Value', 'RangeLimit'))
    if value is None:
        return nothing
    ends = sorted((int(value[0]), int((limit or value)[0])))
    # Some writers store it as unsigned even though the pixels are signed.
    if data.get('PixelRepresentation') == 1 and ends[0] >= 2**15:
        ends = [end - 2**16 for end in ends]
    values = [end * slope + intercept for end in ends]
    if any(TISSUE[0] < hu < TISSUE[1] for hu in values):
        notes.append(f'PixelPaddingValue {ends[0]} is {values[0]:g} HU, which is tissue: it was not used')
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
    units and only request an inverted display. Air distinguishes the two. Without air, the displayed form is used.
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
    notes.append(f'{WARNING}MONOCHROME1 without air: the slice was inverted as it would be shown')
    high = window.low + window.width
    inside = [np.count_nonzero((values >= window.low) & (values <= high)) for values in (mirrored, hu)]
    return mirrored if inside[0] >= inside[1] else 2 * window.level - hu


def _air_share(hu: np.ndarray, padding: np.ndarray) -> float:
    """Share of measured air: values from -1100 to -800 HU outside the padding."""
    seen = max(1, padding.size - int(np.count_nonzero(padding)))
    return np.count_nonzero((hu < PROBABLY_AIR) & (hu > -1100) & ~padding) / seen
