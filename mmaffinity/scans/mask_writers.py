"""Write lesion masks in the geometry of the input: NIfTI and DICOM-SEG."""

import gzip
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mmaffinity import __version__
from mmaffinity.utils.optional import quiet, require
from mmaffinity.utils.provenance import NOTICE, SHORT_NOTICE
from mmaffinity.utils.wording import plural

from .dicom_header import DicomHeader
from .dicom_reading import read_dataset
from .dicom_scan import DicomScan
from .dicom_values import values_of
from .frame_references import Places, frames_as_slices, refer_to_frames
from .items import Problem, Scan
from .nifti_scan import NiftiScan
from .opening import brief
from .output_folder import OutputFolder
from .records import SliceRecord

MAX_SEGMENT_VOXELS = 512 * 1024**2


def write_nifti_mask(out: OutputFolder, folder: str, scan: Scan, records: Iterable[SliceRecord | Problem]) -> bool:
    """Write ``lesions.nii.gz``: 1 where a lesion was predicted, with the affine and the shape of the input.

    Returns:
        False, without writing, if the scan has no affine (images; DICOM series with uneven spacing).

    Raises:
        ValueError: if nibabel is missing.
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
            # A DICOM raster is (row, column); a NIfTI volume made from it is (column, row, slice).
            stored = stored.T if isinstance(scan, DicomScan) else stored
            place: tuple[Any, ...] = (*(slice(None),) * axis, record.index)
            volume[place] = stored
    volume = volume.reshape(scan.info.shape, order='F')
    if isinstance(scan, NiftiScan):
        # NIfTI-1 would round NIfTI-2's affine to 32 bits. The scan's affine is in mm, the header's in the header's unit.
        kind = nibabel.Nifti2Image if isinstance(scan.header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        image = kind(volume, scan.header.get_best_affine())
        _copy_orientation(image, scan.header)
    else:
        affine = np.asarray(scan.info.affine)
        image = nibabel.Nifti1Image(volume, affine)
        image.set_qform(None if not _orthogonal(affine) else affine, 1 if _orthogonal(affine) else 0)
        image.set_sform(affine, 1)
        image.header.set_xyzt_units('mm')
    image.header['descrip'] = f'mmaffinity {__version__}, {SHORT_NOTICE}'.encode()
    with (
        out.write(folder, 'lesions.nii.gz') as file,
        gzip.GzipFile(filename='', fileobj=file, mode='wb', compresslevel=6, mtime=0) as packed,
    ):
        image.to_stream(packed)
    return True


def _copy_orientation(image: Any, header: Any) -> None:
    """Copy both transforms, their codes and their unit, so that any viewer aligns the mask with the scan."""
    for name in (
        'qform_code',
        'sform_code',
        'quatern_b',
        'quatern_c',
        'quatern_d',
        'qoffset_x',
        'qoffset_y',
        'qoffset_z',
        'srow_x',
        'srow_y',
        'srow_z',
        'pixdim',
        'xyzt_units',
    ):
        image.header[name] = header[name]


def _orthogonal(affine: np.ndarray) -> bool:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(directions.T @ directions, np.eye(3), atol=1e-4))


def write_dicom_seg(out: OutputFolder, folder: str, scan: Scan, records: Iterable[SliceRecord | Problem], model: str) -> str:
    """Write ``lesions.dcm``, a DICOM segmentation that refers to the slices or frames of the series.

    Args:
        model: name of the algorithm in the file.

    Returns:
        Why nothing was written: the scan is not a DICOM series, lacks values that a segmentation must copy (positions,
        identifiers, lengths), or has no lesion (a segmentation must have a frame). Empty if the file was written.

    Raises:
        ValueError: if highdicom or pydicom is missing, a header cannot be copied, or highdicom rejects the series.
    """
    if not isinstance(scan, DicomScan):
        return 'the scan is not a DICOM series'
    if scan.headers[0].corner is None or scan.headers[0].orientation is None:
        return 'the series has no slice positions'
    refusal = unnamed(scan) or _unmeasured(scan)
    if refusal:
        return refusal
    masks: list[np.ndarray] = []
    sources: list[DicomHeader] = []
    thickness: list[float | None] = []
    for record in records:
        if isinstance(record, SliceRecord) and record.lesions:
            masks.append(scan.stored_masks(record.index, record.lesion_mask()).astype(np.uint8))
            sources.append(scan.headers[record.index])
            thickness.append(sources[-1].thickness or scan.slabs[record.index])
            if len(masks) * masks[0].size > MAX_SEGMENT_VOXELS:
                raise ValueError('too many slices with lesions for one DICOM segmentation')
    if not masks:
        return 'no lesion was found'
    if len({header.corner for header in sources}) < len(sources):
        return 'several slices with lesions are at the same position, which highdicom does not support'
    images, places = _sources(sources, thickness)
    with quiet('highdicom'):  # what matters is checked and noted
        placed = all(values_of(image, 'FrameOfReferenceUID') for image in images)
    if not placed:
        return 'the series has no FrameOfReferenceUID, so its positions have no reference'
    seg = require('highdicom.seg', 'medical')
    highdicom, codes = require('highdicom', 'medical'), require('pydicom.sr.codedict', 'medical').codes
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=model[:64], version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    description = seg.SegmentDescription(
        segment_number=1,
        segment_label='lesion',
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    try:
        with quiet('highdicom'):
            segmentation = seg.Segmentation(
                source_images=images,
                pixel_array=np.stack(masks),
                segmentation_type=seg.SegmentationTypeValues.BINARY,
                segment_descriptions=[description],
                series_instance_uid=highdicom.UID(),
                series_number=900,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                **device(model),
                content_label='LESIONS',
                content_description=NOTICE.rstrip('.'),
                omit_empty_frames=True,
                series_description=f'Predicted lesions, {SHORT_NOTICE}',
            )
            if places:
                refer_to_frames(segmentation, places)
            content = io.BytesIO()
            segmentation.save_as(content)
    except Exception as error:
        raise ValueError(f'highdicom cannot write it: {brief(error)}') from error
    with out.write(folder, 'lesions.dcm') as file:
        file.write(content.getbuffer())
    return ''


def unnamed(scan: DicomScan) -> str:
    """Return why a segmentation cannot refer to the slices; empty if it can."""
    counts = Counter(header.image for header in scan.headers)
    missing = counts.pop('', 0)
    if missing:
        return f'{missing} of {plural(len(scan.headers), "slice")} have no SOPInstanceUID to refer to'
    equal = sum(count for count in counts.values() if count > 1)
    if equal:
        return (
            f'{equal} of {len(scan.headers)} slices share their SOPInstanceUID with another, so references would be ambiguous'
        )
    for name, uid in (('StudyInstanceUID', scan.info.study_uid), ('SeriesInstanceUID', scan.info.series_uid)):
        if not uid:
            return f'the series has no {name} to refer to'
    return ''


def _unmeasured(scan: DicomScan) -> str:
    """Return which length a segmentation would lack; empty if none."""
    if scan.headers[0].spacing is None:
        return 'the series has no PixelSpacing'
    if any((header.thickness or slab) is None for header, slab in zip(scan.headers, scan.slabs, strict=True)):
        return 'the series has neither SliceThickness nor slices at several positions'
    return ''


def _sources(headers: Sequence[DicomHeader], thickness: Sequence[float | None]) -> tuple[list[Any], Places]:
    """Return slices as highdicom needs them, and the sources of those made from frames.

    Raises:
        ValueError: if a file cannot be read, or a header entry cannot be copied.
    """
    try:
        with quiet('highdicom'):
            images, places = (
                frames_as_slices(headers)
                if any(header.frame for header in headers)
                else ([read_dataset(header.path) for header in headers], {})
            )
            return [as_source(*source) for source in zip(images, headers, thickness, strict=True)], places
    except ValueError:
        raise
    except Exception as error:  # damaged sequences raise OSError
        raise ValueError(f'a header entry cannot be copied: {brief(error)}') from error


def device(model: str) -> dict[str, str]:
    """Return the equipment attributes of a DICOM object (program and model) as highdicom arguments."""
    return dict(
        manufacturer='mmaffinity', manufacturer_model_name=model[:64], software_versions=__version__, device_serial_number='0'
    )


def as_source(data: Any, header: DicomHeader, thickness: float | None) -> Any:
    """Return a slice as highdicom needs it.

    Required DICOM entries are added, empty, if they are missing. Text in any character set becomes UTF-8. Lengths are replaced
    by the values that were read, however they were written. ``thickness`` is that of the header or of the slab.
    """
    data.decode()
    data.SpecificCharacterSet = 'ISO_IR 192'
    for keyword in (
        'PatientID',
        'PatientName',
        'PatientBirthDate',
        'PatientSex',
        'StudyDate',
        'StudyTime',
        'StudyID',
        'AccessionNumber',
        'ReferringPhysicianName',
    ):
        if keyword not in data:
            setattr(data, keyword, '')
    for keyword, value in (
        ('PixelSpacing', header.spacing),
        ('ImagePositionPatient', header.corner),
        ('ImageOrientationPatient', header.orientation),
        ('SliceThickness', thickness),
    ):
        if value is not None:
            setattr(data, keyword, list(value) if isinstance(value, tuple) else value)
        elif keyword in data:
            delattr(data, keyword)
    return data
