"""References from a DICOM segmentation to frames of multi-frame files, which highdicom knows within one file only."""
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmaffinity.utils.optional import require

from .dicom_header import DicomHeader, read_until_pixels

_NOT_OF_A_SLICE = ('SharedFunctionalGroupsSequence', 'PerFrameFunctionalGroupsSequence', 'NumberOfFrames',
                   'DimensionIndexSequence', 'DimensionOrganizationSequence')


def frames_as_slices(headers: Sequence[DicomHeader]) -> list[Any]:
    """Headers of slices as pydicom datasets of files of one slice, each with a SOP instance UID of its own for the time being.

    Args:
        headers: of slices with position and orientation, frames or not, of one file or of several.

    Raises:
        ValueError: if a file cannot be read any more.
    """
    uid = require('pydicom.uid', 'medical')
    files: dict[Path, Any] = {}
    slices = []
    for header in headers:
        if header.path not in files:
            data, _ = read_until_pixels(header.path)
            for keyword in _NOT_OF_A_SLICE:
                if keyword in data:
                    delattr(data, keyword)
            files[header.path] = data
        data = copy.copy(files[header.path])
        data.SOPInstanceUID = uid.generate_uid()
        data.ImageOrientationPatient, data.ImagePositionPatient = list(header.orientation or ()), list(header.corner or ())
        if header.spacing is not None:
            data.PixelSpacing = list(header.spacing)
        if header.thickness is not None:
            data.SliceThickness = header.thickness
        slices.append(data)
    return slices


def refer_to_frames(segmentation: Any, slices: Sequence[Any], headers: Sequence[DicomHeader]) -> None:
    """Replace, in a segmentation of :func:`frames_as_slices`, the UIDs for the time being by files and frame numbers.

    Args:
        segmentation: changed in place.
        slices: that it was made of.
        headers: of ``slices``, in the same order.
    """
    places = {str(data.SOPInstanceUID): header for data, header in zip(slices, headers, strict=True)}
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in group.get('DerivationImageSequence') or ():
            for source in derivation.get('SourceImageSequence') or ():
                _refer(source, [places[str(source.ReferencedSOPInstanceUID)]])
    files: dict[str, list[DicomHeader]] = {}
    for header in headers:
        files.setdefault(header.instance_uid, []).append(header)
    dataset = require('pydicom.dataset', 'medical').Dataset
    classes = {header.instance_uid: data.SOPClassUID for data, header in zip(slices, headers)}
    sources, instances = [], []
    for instance_uid, inside in files.items():
        instance = dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = classes[instance_uid], instance_uid
        sources.append(_refer(copy.copy(instance), inside))
        instances.append(instance)
    segmentation.SourceImageSequence = sources
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances


def _refer(reference: Any, headers: Sequence[DicomHeader]) -> Any:
    """Make a reference one to slices of one file."""
    reference.ReferencedSOPInstanceUID = headers[0].instance_uid
    numbers = sorted(header.frame.number for header in headers if header.frame)
    if numbers:
        reference.ReferencedFrameNumber = numbers[0] if len(numbers) == 1 else numbers
    return reference
