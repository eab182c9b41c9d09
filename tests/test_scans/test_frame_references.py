"""DICOM-SEG of multi-frame files refers to their frames."""

import numpy as np
import pytest
from frame_helpers import ENHANCED, chest_frames, enhanced_ct, position
from scan_helpers import chest, dicom_slice, save_dicom

from mmaffinity.scans import find_scans, measure
from mmaffinity.scans.mask_writers import write_dicom_seg, write_nifti_mask
from mmaffinity.scans.output_folder import OutputFolder

pydicom = pytest.importorskip('pydicom')
highdicom = pytest.importorskip('highdicom')


def bone(scan, without=()):
    """Records of a scan in which the "lesion" is its bone."""
    for item in scan.read():
        masks = (item.grey == 255)[None] if item.index not in without else np.zeros((0, *item.grey.shape), bool)
        number = len(masks)
        yield measure(item, None, {}, np.zeros((number, 4)), np.ones(number), np.zeros(number, int), masks, 0.5)


def segmentation_of(scan, tmp_path, without=()):
    assert not write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan, without), 'model')
    return highdicom.seg.segread(tmp_path / 'out' / 'scan' / 'lesions.dcm')


def references(seg):
    """(file, frame, height) that each frame of a segmentation was derived from, by height."""
    found = []
    for group in seg.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        found.append(
            (
                source.ReferencedSOPInstanceUID,
                source.get('ReferencedFrameNumber'),
                group.PlanePositionSequence[0].ImagePositionPatient[2],
            )
        )
    return sorted(found, key=lambda reference: reference[2])


def test_refers_to_the_frames_of_a_file(tmp_path):
    order = [2, 0, 3, 1]
    frames = chest_frames(4)
    data = enhanced_ct([frames[at] for at in order], [{'PlanePosition': position(at)} for at in order])
    (scan,) = find_scans(save_dicom(tmp_path / 'm.dcm', data))
    seg = segmentation_of(scan, tmp_path, without=[1])
    assert references(seg) == [(data.SOPInstanceUID, 2, -300), (data.SOPInstanceUID, 1, -290), (data.SOPInstanceUID, 3, -285)]
    (source,) = seg.SourceImageSequence
    assert source.ReferencedFrameNumber == [1, 2, 3] and source.ReferencedSOPClassUID == ENHANCED
    (instance,) = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert instance.ReferencedSOPInstanceUID == data.SOPInstanceUID and 'ReferencedFrameNumber' not in instance
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == data.SeriesInstanceUID
    masks = seg.get_pixels_by_source_frame(data.SOPInstanceUID, [1, 2, 3], combine_segments=True)
    assert all(np.array_equal(mask > 0, chest(0) == 600) for mask in masks)
    assert seg.StudyInstanceUID == data.StudyInstanceUID and seg.PatientID == 'secret-id'
    assert seg.FrameOfReferenceUID == data.FrameOfReferenceUID


def test_refers_to_the_files_of_a_concatenation(tmp_path):
    frames = chest_frames(4)
    for part in (0, 1):
        save_dicom(
            tmp_path / 'in' / f'{part}.dcm',
            enhanced_ct(
                frames[2 * part : 2 * part + 2],
                [{'PlanePosition': position(2 * part + at)} for at in (0, 1)],
                ConcatenationUID='1.2.3',
                InConcatenationNumber=part + 1,
                ConcatenationFrameOffsetNumber=2 * part,
                SOPInstanceUID=f'1.2.3.{part}',
            ),
        )
    (scan,) = find_scans(tmp_path / 'in')
    seg = segmentation_of(scan, tmp_path)
    assert references(seg) == [('1.2.3.0', 1, -300), ('1.2.3.0', 2, -295), ('1.2.3.1', 1, -290), ('1.2.3.1', 2, -285)]
    assert [source.ReferencedSOPInstanceUID for source in seg.SourceImageSequence] == ['1.2.3.0', '1.2.3.1']


def test_single_frame_files_next_to_single_slice_files(tmp_path):
    save_dicom(tmp_path / 'in' / '0.dcm', enhanced_ct(chest_frames(1), SOPInstanceUID='1.2.3.0'))
    save_dicom(tmp_path / 'in' / '1.dcm', dicom_slice(chest_frames(2)[1], 1, SOPInstanceUID='1.2.3.1'))
    (scan,) = find_scans(tmp_path / 'in')
    seg = segmentation_of(scan, tmp_path)
    assert references(seg) == [('1.2.3.0', 1, -300), ('1.2.3.1', None, -295)]


def test_nifti_mask_aligns_with_the_frames(tmp_path):
    nibabel = pytest.importorskip('nibabel')
    (scan,) = find_scans(save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(3))))
    assert write_nifti_mask(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan))
    mask = nibabel.load(tmp_path / 'out' / 'scan' / 'lesions.nii.gz')
    voxels = np.asarray(mask.dataobj)
    assert voxels.shape == (64, 64, 3) and all(np.array_equal(voxels[..., at].T > 0, chest(at) == 600) for at in range(3))
    assert nibabel.affines.apply_affine(mask.affine, (0, 0, 0)) == pytest.approx((100, 80, -300))
