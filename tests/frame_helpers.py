"""Synthetic Enhanced CT: the frames of a small chest in one DICOM file or in the files of a concatenation."""

from collections.abc import Sequence

import numpy as np
from scan_helpers import chest, dicom_slice

from mmaffinity.scans import Problem, find_scans

ENHANCED, LEGACY = '1.2.840.10008.5.1.4.1.1.2.1', '1.2.840.10008.5.1.4.1.1.2.2'
SHARED = {
    'PlaneOrientation': dict(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
    'PixelMeasures': dict(PixelSpacing=[0.8, 0.7], SliceThickness=5),
    'PixelValueTransformation': dict(RescaleSlope=1, RescaleIntercept=0, RescaleType='HU'),
    'CTImageFrameType': dict(FrameType=['ORIGINAL', 'PRIMARY', 'AXIAL', 'NONE']),
}


def groups(**macros: dict):
    """Functional groups, by name without 'Sequence'."""
    from pydicom.dataset import Dataset

    data = Dataset()
    for name, values in macros.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(data, f'{name}Sequence', [item])
    return data


def chest_frames(number: int = 3, size: int = 64) -> list[np.ndarray]:
    """Hounsfield units of slices of a chest, each with a mark that distinguishes its grey levels."""
    frames = [chest(index, size).astype(np.int16) for index in range(number)]
    for index, frame in enumerate(frames):
        frame[:4, 8:16] = 50 * index - 900
    return frames


def enhanced_ct(frames: Sequence[np.ndarray], per_frame: Sequence[dict] | None = None, shared: dict | None = None, **changes):
    """A file of several frames.

    Args:
        frames: stored values, all of one shape and type.
        per_frame: macros of each frame, over its PlanePosition; those of :func:`scan_helpers.write_series` by default.
        shared: macros of all frames, over ``SHARED``; None as a value leaves one out.
        changes: as in :func:`scan_helpers.dicom_slice`.
    """
    data = dicom_slice(frames[0], SOPClassUID=changes.pop('SOPClassUID', ENHANCED), **changes)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    for keyword in (
        'ImageOrientationPatient',
        'ImagePositionPatient',
        'PixelSpacing',
        'SliceThickness',
        'RescaleSlope',
        'RescaleIntercept',
        'RescaleType',
        'InstanceNumber',
    ):
        if keyword in data and keyword not in changes:
            delattr(data, keyword)
    data.NumberOfFrames = changes.get('NumberOfFrames', len(frames))
    data.InstanceNumber = 1
    macros = {name: values for name, values in {**SHARED, **(shared or {})}.items() if values is not None}
    data.SharedFunctionalGroupsSequence = [groups(**macros)]
    per_frame = [{}] * len(frames) if per_frame is None else per_frame
    data.PerFrameFunctionalGroupsSequence = [
        groups(
            **{'FrameContent': dict(StackID='1', InStackPositionNumber=index + 1), 'PlanePosition': position(index), **macros}
        )
        for index, macros in enumerate(per_frame)
    ]
    data.PixelData = b''.join(frame.tobytes() for frame in frames)
    data['PixelData'].VR = 'OW'
    return data


def position(index: int) -> dict:
    """PlanePosition of frame ``index``, as of the slice of :func:`scan_helpers.dicom_slice`."""
    return dict(ImagePositionPatient=[-100, -80, 5.0 * index - 300])


def encapsulated(data, packed: Sequence[bytes], syntax, table: str = 'basic', fragments: int = 1):
    """Replace native pixel data by compressed frames, with a basic or extended offset table or none."""
    from pydicom.encaps import encapsulate, encapsulate_extended

    data.file_meta.TransferSyntaxUID = syntax
    if table == 'extended':
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(list(packed))
    else:
        data.PixelData = encapsulate(list(packed), fragments_per_frame=fragments, has_bot=table == 'basic')
    data['PixelData'].is_undefined_length = True
    data['PixelData'].VR = 'OB'
    return data


def compressed(frame: np.ndarray, syntax: str) -> bytes:
    """A frame as RLELossless, JPEGLSLossless or JPEG2000Lossless."""
    import pydicom

    data = dicom_slice(frame)
    data.compress(getattr(pydicom.uid, syntax))
    return pydicom.encaps.get_frame(data.PixelData, 0, number_of_frames=1)


def frames_in(path):
    """Return the only scan of a file or folder, and the problems."""
    found = list(find_scans(path))
    (scan,) = (item for item in found if not isinstance(item, Problem))
    return scan, [item for item in found if isinstance(item, Problem)]


def read(scan):
    """Read the slices of a scan without problems."""
    slices = list(scan.read())
    assert not [str(item) for item in slices if isinstance(item, Problem)]
    return slices


def assert_same(single, multi):
    """The same grey levels at the same places."""
    ours, theirs = read(multi), read(single)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs):
        assert np.array_equal(one.grey, two.grey)
        assert (one.index, one.spacing, one.thickness, one.position, one.view, one.notes) == (
            two.index,
            two.spacing,
            two.thickness,
            two.position,
            two.view,
            two.notes,
        )
    for name in ('kind', 'num_slices', 'spacing', 'slice_spacing', 'affine', 'shape', 'notes', 'study_uid'):
        assert getattr(multi.info, name) == getattr(single.info, name), name
