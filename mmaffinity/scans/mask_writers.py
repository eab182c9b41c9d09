"""Lesion masks in the geometry of the input: NIfTI and DICOM-SEG."""
import gzip
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmaffinity import __version__
from mmaffinity.utils.optional import require

from .dicom_header import read_dataset
from .dicom_scan import DicomScan
from .frame_references import frames_as_slices, refer_to_frames
from .items import Problem, Scan
from .nifti_scan import NiftiScan
from .output_folder import OutputFolder
from .records import SliceRecord

MAX_SEGMENT_VOXELS = 512 * 1024 ** 2


def write_nifti_mask(out: OutputFolder, folder: str, scan: Scan, records: Iterable[SliceRecord | Problem]) -> bool:
    """Write ``lesions.nii.gz``: 1 where a lesion was predicted, with the affine and the shape of the input.

    Returns:
        False where the scan has no affine (images; DICOM series with uneven spacing), so that nothing is written.

    Raises:
        ValueError: without nibabel.
    """
    if scan.info.affine is None or scan.info.shape is None:
        return False
    nibabel = require('nibabel', 'medical')
    shape = (*scan.info.shape, 1)[:3]
    axis = scan.axis if isinstance(scan, NiftiScan) else 2
    volume = np.zeros(shape, dtype=np.uint8, order='F')
    for record in records:
        if isinstance(record, SliceRecord) and record.lesions:
            stored = scan.stored_masks(record.index, record.lesion_mask())
            # A DICOM raster is (row, column), a NIfTI volume made of it (column, row, slice).
            stored = stored.T if isinstance(scan, DicomScan) else stored
            volume[(*(slice(None),) * axis, record.index)] = stored
    volume = volume.reshape(scan.info.shape, order='F')
    if isinstance(scan, NiftiScan):
        # NIfTI-1 would round the affine of NIfTI-2 to 32 bits; the scan's own affine is in mm, the header's in its unit.
        kind = nibabel.Nifti2Image if isinstance(scan.header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        image = kind(volume, scan.header.get_best_affine())
        _copy_orientation(image, scan.header)
    else:
        affine = np.asarray(scan.info.affine)
        image = nibabel.Nifti1Image(volume, affine)
        image.set_qform(None if not _orthogonal(affine) else affine, 1 if _orthogonal(affine) else 0)
        image.set_sform(affine, 1)
        image.header.set_xyzt_units('mm')
    image.header['descrip'] = f'mmaffinity {__version__}, research use only'.encode()
    with out.write(folder, 'lesions.nii.gz') as file, \
            gzip.GzipFile(filename='', fileobj=file, mode='wb', compresslevel=6, mtime=0) as packed:
        image.to_stream(packed)
    return True


def _copy_orientation(image: Any, header: Any) -> None:
    """Take over both transforms with their codes and unit, so that any viewer lays the mask on the scan."""
    for name in ('qform_code', 'sform_code', 'quatern_b', 'quatern_c', 'quatern_d', 'qoffset_x', 'qoffset_y',
                 'qoffset_z', 'srow_x', 'srow_y', 'srow_z', 'pixdim', 'xyzt_units'):
        image.header[name] = header[name]


def _orthogonal(affine: np.ndarray) -> bool:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(directions.T @ directions, np.eye(3), atol=1e-4))


def write_dicom_seg(out: OutputFolder, folder: str, scan: Scan, records: Iterable[SliceRecord | Problem],
                    model: str) -> bool:
    """Write ``lesions.dcm``, a DICOM segmentation that refers to the slices of the series, or to frames of its files.

    Args:
        model: name of the algorithm in the file.

    Returns:
        False where the scan is no DICOM series with positions, or has no lesion (a segmentation must have a frame).

    Raises:
        ValueError: without highdicom or pydicom, or if highdicom refuses the series, for example for a header that
            lacks what DICOM-SEG has to copy.
    """
    if not isinstance(scan, DicomScan) or scan.headers[0].corner is None or scan.headers[0].orientation is None:
        return False
    masks, sources = [], []
    for record in records:
        if isinstance(record, SliceRecord) and record.lesions:
            masks.append(scan.stored_masks(record.index, record.lesion_mask()).astype(np.uint8))
            sources.append(scan.headers[record.index])
            if len(masks) * masks[0].size > MAX_SEGMENT_VOXELS:
                raise ValueError('DICOM-SEG: too many slices with lesions to be written at once')
    if not masks:
        return False
    seg = require('highdicom.seg', 'medical')
    highdicom, codes = require('highdicom', 'medical'), require('pydicom.sr.codedict', 'medical').codes
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=model[:64], version=__version__, family=codes.DCM.ArtificialIntelligence)
    description = seg.SegmentDescription(
        segment_number=1, segment_label='lesion',
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion, algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            framed = any(header.frame for header in sources)
            images, places = frames_as_slices(sources) if framed else \
                ([read_dataset(header.path) for header in sources], {})
            segmentation = seg.Segmentation(
                source_images=[_with_defaults(image) for image in images], pixel_array=np.stack(masks),
                segmentation_type=seg.SegmentationTypeValues.BINARY, segment_descriptions=[description],
                series_instance_uid=highdicom.UID(), series_number=900, sop_instance_uid=highdicom.UID(),
                instance_number=1, manufacturer='mmaffinity', manufacturer_model_name=model[:64],
                software_versions=__version__, device_serial_number='0', content_label='LESIONS',
                content_description='Research use only; not a medical device', omit_empty_frames=True,
                series_description='Predicted lesions, research use only')
            if framed:
                refer_to_frames(segmentation, places)
            with out.write(folder, 'lesions.dcm') as file:
                segmentation.save_as(file)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f'DICOM-SEG could not be written: {type(error).__name__}: {error}') from error
    return True


def _with_defaults(data: Any) -> Any:
    """Entries that DICOM wants to be there, if only empty, and that highdicom copies."""
    for keyword in ('PatientID', 'PatientName', 'PatientBirthDate', 'PatientSex', 'StudyDate', 'StudyTime', 'StudyID',
                    'AccessionNumber', 'ReferringPhysicianName'):
        if keyword not in data:
            setattr(data, keyword, '')
    return data
