"""Let a DICOM segmentation refer to frames of several files; highdicom alone requires all frames in one file."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmaffinity.utils.optional import require

from .dicom_header import CT_CLASSES, DicomHeader
from .dicom_reading import read_until_pixels

# Header entries that are dropped or replaced.
_OF_FRAMES = (
    'SharedFunctionalGroupsSequence',
    'PerFrameFunctionalGroupsSequence',
    'NumberOfFrames',
    'DimensionIndexSequence',
    'DimensionOrganizationSequence',
    'SOPInstanceUID',
    'ImageOrientationPatient',
    'ImagePositionPatient',
    'PixelSpacing',
    'SliceThickness',
)
Places = dict[str, tuple[DicomHeader, str]]


def frames_as_slices(headers: Sequence[DicomHeader]) -> tuple[list[Any], Places]:
    """Present slices, whether frames or not, as single-slice CT files.

    Args:
        headers: headers with position and orientation, from any number of files.

    Returns:
        pydicom datasets, each with a temporary SOPInstanceUID, and the slice's header and SOP class by that UID.

    Raises:
        ValueError: if a file can no longer be read.
    """
    uid, dataset = require('pydicom.uid', 'medical'), require('pydicom.dataset', 'medical').Dataset
    files: dict[Path, tuple[Any, str]] = {}
    slices, places = [], {}
    for header in headers:
        if header.path not in files:
            common, _ = read_until_pixels(header.path)
            sop_class = str(common.SOPClassUID)
            for keyword in _OF_FRAMES:
                common.pop(keyword, None)
            common.SOPClassUID = CT_CLASSES[0]
            files[header.path] = common, sop_class
        common, sop_class = files[header.path]
        data = dataset()
        data.update(common)
        data.SOPInstanceUID = uid.generate_uid()
        places[str(data.SOPInstanceUID)] = header, sop_class
        data.ImageOrientationPatient, data.ImagePositionPatient = list(header.orientation or ()), list(header.corner or ())
        if header.spacing is not None:
            data.PixelSpacing = list(header.spacing)
        if header.thickness is not None:
            data.SliceThickness = header.thickness
        slices.append(data)
    return slices, places


def refer_to_frames(segmentation: Any, places: Places) -> None:
    """Make a segmentation of :func:`frames_as_slices` refer to the original files and frames.

    Args:
        segmentation: highdicom's segmentation, changed in place.
        places: its sources by their temporary UIDs.
    """
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in group.get('DerivationImageSequence') or ():
            for source in derivation.get('SourceImageSequence') or ():
                _refer(source, [places[str(source.ReferencedSOPInstanceUID)]])
    files: dict[str, list[tuple[DicomHeader, str]]] = {}
    for place in places.values():
        files.setdefault(place[0].instance_uid, []).append(place)
    dataset = require('pydicom.dataset', 'medical').Dataset
    sources = [_refer(dataset(), inside) for inside in files.values()]
    instances = copy.deepcopy(sources)
    for instance in instances:
        instance.pop('ReferencedFrameNumber', None)
    segmentation.SourceImageSequence = sources
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances


def _refer(reference: Any, places: Sequence[tuple[DicomHeader, str]]) -> Any:
    """Make a reference point to slices of one file."""
    header, reference.ReferencedSOPClassUID = places[0]
    reference.ReferencedSOPInstanceUID = header.instance_uid
    numbers = sorted(header.frame.number for header, _ in places if header.frame)
    if numbers:
        reference.ReferencedFrameNumber = numbers[0] if len(numbers) == 1 else numbers
    return reference
