"""The slices of a DICOM file: one, or the frames of an Enhanced CT with headers assembled from functional groups."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmaffinity.utils.optional import without_warnings
from mmaffinity.utils.wording import first_and_rest

from .dicom_header import TAGS, DicomHeader, shared, to_header
from .dicom_reading import read_until_pixels
from .frame_pixels import MAX_FRAMES, Frame, FrameFile, locate_frames
from .functional_groups import (
    GROUPS,
    LOOSE_TRAITS,
    STRICT_TRAITS,
    VALUES,
    check_items,
    group_values,
    integer_of,
    short,
    text_of,
    value_of,
    wanted_tags,
)
from .items import Problem, check_side
from .opening import MAX_FILE_BYTES, brief

ENHANCED_CT = ('1.2.840.10008.5.1.4.1.1.2.1', '1.2.840.10008.5.1.4.1.1.2.2')  # Enhanced, Legacy Converted Enhanced
# File-level entries, common to all frames.
_PIXELS = (
    'Rows',
    'Columns',
    'SamplesPerPixel',
    'PhotometricInterpretation',
    'BitsAllocated',
    'BitsStored',
    'HighBit',
    'PixelRepresentation',
)
_CONCATENATION = (
    'ConcatenationUID',
    'SOPInstanceUIDOfConcatenationSource',
    'InConcatenationNumber',
    'InConcatenationTotalNumber',
    'ConcatenationFrameOffsetNumber',
)
_FRAME_TAGS = (*_PIXELS, *VALUES, *_CONCATENATION, *GROUPS, 'DimensionIndexSequence', 'ExtendedOffsetTable')
_OF_ONE_SLICE = ('ImagePositionPatient', 'SliceLocation', 'InstanceNumber')


@without_warnings()  # on odd header values; relevant ones are checked
def read_headers(path: Path, name: str, key: str) -> list[DicomHeader | Problem]:
    """Read the headers of all axial CT slices in a file, in one pass.

    Args:
        path: the file.
        name: display name; frames are ``name#frame 12``.
        key: identifies the unchanged file.

    Returns:
        A header for each slice, and a problem for each unusable frame.

    Raises:
        ValueError: if pydicom is missing, or the file is not DICOM or has no axial CT slice; the message says what it is.
    """
    data, end = read_until_pixels(path, (*TAGS, *_FRAME_TAGS))
    size = path.stat().st_size
    try:
        if text_of(data, 'SOPClassUID') in ENHANCED_CT:
            return _Frames(data, path, name, key).headers(end)
        if size > MAX_FILE_BYTES:
            raise ValueError(f'has {size} bytes, above the limit of {MAX_FILE_BYTES} for a file with one slice')
        return [to_header(data, path, name, key)]
    except ValueError:
        raise
    except (MemoryError, Exception) as error:
        raise ValueError(f'has a damaged DICOM header: {brief(error)}') from error


class _Frames:
    """The header of an Enhanced CT, split into the headers of its frames."""

    def __init__(self, data: Any, path: Path, name: str, key: str) -> None:
        self.data, self.path, self.name, self.key = data, path, name, key
        modality = (text_of(data, 'Modality') or 'CT').upper()
        if modality != 'CT':
            raise ValueError(f'has modality {modality[:16]}, not CT')
        check_items(data, path.stat().st_size)
        self.groups: Sequence[Any] = data.get('PerFrameFunctionalGroupsSequence') or ()
        self.claimed = integer_of(data, 'NumberOfFrames')
        if not self.groups:
            raise ValueError(
                f'has SOPClassUID {text_of(data, "SOPClassUID")} (Enhanced CT) and NumberOfFrames '
                f'{text_of(data, "NumberOfFrames") or "absent"}, but no PerFrameFunctionalGroupsSequence with the '
                'positions of its frames: export it again, or as one file per slice'
            )
        if len(self.groups) > MAX_FRAMES:
            raise ValueError(f'has {len(self.groups)} frames, above the limit of {MAX_FRAMES} per file: split it')
        check_side(integer_of(data, 'Rows') or 0, integer_of(data, 'Columns') or 0)
        self.common = {keyword: value_of(data, keyword) for keyword in (*TAGS, *VALUES) if keyword in data}
        for keyword in ('SOPClassUID', 'NumberOfFrames', *(_OF_ONE_SLICE if len(self.groups) > 1 else ())):
            self.common.pop(keyword, None)
        self.common['Modality'] = modality
        if data.get('SharedFunctionalGroupsSequence'):
            self.common |= group_values(data.SharedFunctionalGroupsSequence[0])
        pointers = [item.get('DimensionIndexPointer') for item in data.get('DimensionIndexSequence') or ()]
        self.dimensions = [
            None if pointer is None or int(pointer) in wanted_tags() else f'{int(pointer):08x}' for pointer in pointers
        ]
        uid = text_of(data, 'ConcatenationUID') or text_of(data, 'SOPInstanceUIDOfConcatenationSource')
        self.offset = integer_of(data, 'ConcatenationFrameOffsetNumber') or 0 if uid else 0
        self.part = (
            (integer_of(data, 'InConcatenationNumber') or 0, integer_of(data, 'InConcatenationTotalNumber') or 0)
            if uid
            else (0, 0)
        )
        # A file with one frame is one slice of a series, like any single-slice file.
        self.unit = uid or ('' if len(self.groups) == 1 else text_of(data, 'SOPInstanceUID') or name.rpartition('/')[2])

    def headers(self, end: int) -> list[DicomHeader | Problem]:
        """Return the frames' headers in file order, then problems; ``end`` is the offset of the pixel data."""
        counts = [len(self.groups)]
        notes: tuple[str, ...] = ()
        if self.claimed != counts[0]:
            notes = (
                f'NumberOfFrames is {short(value_of(self.data, "NumberOfFrames"))}, but PerFrameFunctionalGroupsSequence '
                f'has {counts[0]} items: a frame may be missing, and positions may belong to other frames',
            )
            if self.claimed and 0 < self.claimed <= MAX_FRAMES:
                counts.append(self.claimed)
        pixels = shared(tuple((keyword, value_of(self.data, keyword)) for keyword in _PIXELS if keyword in self.data))
        file = locate_frames(self.data, self.path, end, counts, pixels)
        found: list[DicomHeader | Problem] = []
        refused: dict[str, list[int]] = {}
        for index, group in enumerate(self.groups):
            if not file.holds(index):
                refused.setdefault(f'pixel data is truncated or cannot be found: {file.missing}', []).append(index + 1)
                continue
            try:
                found.append(self._header(index, group, file, notes))
            except (MemoryError, Exception) as error:
                refused.setdefault(brief(error), []).append(index + 1)
        if not found:
            raise ValueError('; '.join(list(refused)[:3]))
        found += (Problem(f'{self.name}{_numbers(numbers)}', reason) for reason, numbers in refused.items())
        if self.claimed and self.claimed > counts[0]:
            found.append(
                Problem(
                    f'{self.name}{_numbers(range(counts[0] + 1, self.claimed + 1))}',
                    f'has no item in PerFrameFunctionalGroupsSequence, which has {counts[0]}',
                )
            )
        return found

    def _header(self, index: int, group: Any, file: FrameFile, notes: tuple[str, ...]) -> DicomHeader:
        values = {**self.common, **group_values(group)}
        # Numbers order frames without positions; numbers within stacks may restart in each file.
        number = values.get('InStackPositionNumber') if 'ImagePositionPatient' not in values else None
        values['InstanceNumber'] = self.offset + index + 1 if number is None else number
        values['ImageType'] = values.get('FrameType') or values.get('ImageType')
        frame = Frame(
            file,
            index,
            shared(tuple((keyword, values[keyword]) for keyword in VALUES if keyword in values)),
            self._traits(values),
            self.unit,
            self.part,
        )
        mark = f'{self.name}#frame {frame.number}'
        header = to_header(values, self.path, mark, f'{mark}|{self.key.removeprefix(f"{self.name}|")}')
        return replace(header, frame=frame, notes=shared(header.notes + notes))

    def _traits(self, values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        traits = [(keyword, short(values[keyword])) for keyword in (*STRICT_TRAITS, *LOOSE_TRAITS) if keyword in values]
        indices = values.get('DimensionIndexValues') or ()
        indices = indices if isinstance(indices, tuple) else (indices,)
        traits += ((f'dimension {name}', str(at)) for name, at in zip(self.dimensions, indices) if name)
        return shared(tuple(traits))


def _numbers(numbers: Sequence[int]) -> str:
    """Format frame numbers: '#frame 3', '#frames 3 to 9' or '#frames 3, 5, 9 and 4 more'."""
    if len(numbers) == 1:
        return f'#frame {numbers[0]}'
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f'#frames {numbers[0]} to {numbers[-1]}'
    return f'#frames {first_and_rest([str(number) for number in numbers])}'
