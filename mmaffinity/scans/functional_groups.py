"""Read the entries of an Enhanced CT, whose functional groups contain the header of each frame."""

from functools import lru_cache
from typing import Any

from mmaffinity.utils.optional import require

# Per-frame entries; some files give them once for all frames.
VALUES = ('RescaleSlope', 'RescaleIntercept', 'RescaleType', 'PixelPaddingValue', 'PixelPaddingRangeLimit')
# Entries that separate frames of one file: always, or only if several frames share a position (see dicom_stacks).
STRICT_TRAITS = (
    'StackID',
    'ConvolutionKernel',
    'KVP',
    'MonoenergeticEnergyEquivalent',
    'NominalPercentageOfCardiacPhase',
    'NominalPercentageOfRespiratoryPhase',
)
LOOSE_TRAITS = (
    'TemporalPositionIndex',
    'NominalCardiacTriggerDelayTime',
    'NominalRespiratoryTriggerDelayTime',
    'TemporalPositionTimeOffset',
    'ConvolutionKernelGroup',
    'ReconstructionAlgorithm',
    'FrameType',
)
_PLACE = (
    'ImageOrientationPatient',
    'ImagePositionPatient',
    'PixelSpacing',
    'SliceThickness',
    'SliceLocation',
    'GantryDetectorTilt',
    'BodyPartExamined',
    'InStackPositionNumber',
)
# Macros that contain these; others, including long lists of references, are not parsed.
_MACROS = (
    'PlaneOrientation',
    'PlanePosition',
    'PixelMeasures',
    'PixelValueTransformation',
    'CTImageFrameType',
    'FrameContent',
    'FrameAnatomy',
    'CTReconstruction',
    'CTXRayDetails',
    'CTAcquisitionDetails',
    'CardiacSynchronization',
    'RespiratorySynchronization',
    'TemporalPosition',
    'MultienergyCTCharacteristics',
    'UnassignedSharedConvertedAttributes',
    'UnassignedPerFrameConvertedAttributes',
)
GROUPS = ('SharedFunctionalGroupsSequence', 'PerFrameFunctionalGroupsSequence')


def check_items(data: Any, size: int) -> None:
    """Reject sequences that pydicom would expand far beyond the frames that a file of ``size`` bytes can contain.

    Raises:
        ValueError: if they exceed 4 MiB plus a quarter of the file, or 10 000 items plus one per 256 bytes.
    """
    held = [data.get_item(keyword) for keyword in (*GROUPS, 'DimensionIndexSequence') if keyword in data]
    raw = [element.value for element in held if isinstance(element.value, bytes)]  # the others were already read within limits
    items = sum(value.count(mark) for value in raw for mark in (b'\xfe\xff\0\xe0', b'\xff\xfe\xe0\0'))
    if sum(map(len, raw)) > (4 << 20) + size // 4 or items > 10_000 + size // 256:
        raise ValueError('has too many functional-group entries for a file of its size')


@lru_cache(maxsize=1)
def wanted_tags() -> dict[int, str]:
    """Return the tags of the functional-group entries that are used."""
    tag = require('pydicom.datadict', 'medical').tag_for_keyword
    return {
        tag(keyword): keyword
        for keyword in (*_PLACE, *VALUES, *STRICT_TRAITS, *LOOSE_TRAITS, 'DimensionIndexValues', 'AnatomicRegionSequence')
    }


@lru_cache(maxsize=1)
def _macros() -> frozenset[int]:
    tag = require('pydicom.datadict', 'medical').tag_for_keyword
    return frozenset(tag(f'{name}Sequence') for name in _MACROS)


def group_values(group: Any) -> dict[str, Any]:
    """Return the entries of the per-frame or shared functional groups by keyword."""
    wanted, values = wanted_tags(), {}
    for macro in sorted(group.keys() & _macros()):
        for item in group[macro].value[:1]:
            for tag in item.keys() & wanted.keys():
                if wanted[tag] == 'AnatomicRegionSequence':
                    for region in item[tag].value[:1]:
                        values['BodyPartExamined'] = value_of(region, 'CodeMeaning')
                elif (value := value_of(item, tag)) not in (None, ''):
                    values[wanted[tag]] = value
    return values


def value_of(data: Any, name: int | str) -> Any:
    """Return the value of an entry by tag or keyword; None if absent; text if it does not match its type."""
    try:
        return _plain(data[name].value) if name in data else None
    except Exception:  # pydicom raises whatever its converters raise
        value = getattr(data.get_item(name), 'value', None)
        texts = value.decode('latin-1').split('\\') if isinstance(value, bytes) else [str(value)]
        return texts[0] if len(texts) == 1 else tuple(texts)


def _plain(value: Any) -> Any:
    """Return a comparable value without references to the file."""
    if value is None or isinstance(value, bytes):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return tuple(_plain(item) for item in value) if hasattr(value, '__iter__') else str(value)


def short(value: Any) -> str:
    """Return the first 64 printable characters of a value."""
    return ''.join(char for char in str(value) if char.isprintable())[:64]


def text_of(data: Any, keyword: str) -> str:
    """Return an entry as text; empty if absent."""
    return short(value_of(data, keyword) or '').strip()


def integer_of(data: Any, keyword: str) -> int | None:
    """Return an entry as an integer; None if it is absent or not a number."""
    try:
        return int(value_of(data, keyword))
    except (TypeError, ValueError, OverflowError):
        return None
