"""Lesion masks in the geometry of the input."""

import numpy as np
import pytest
from scan_helpers import chest, chest_volume, dicom_slice, save_dicom, write_images, write_nifti, write_series

from mmaffinity.scans import Problem, find_scans, measure
from mmaffinity.scans.mask_writers import write_dicom_seg, write_nifti_mask
from mmaffinity.scans.output_folder import OutputFolder

nibabel = pytest.importorskip('nibabel')
pytest.importorskip('pydicom')


def bone(scan):
    """Records of a scan in which the "lesion" is its bone, found by its grey level in the radiological view."""
    scan.check()
    for item in scan.read():
        masks = (item.grey == 255)[None]
        yield measure(item, None, {}, np.zeros((1, 4)), np.ones(1), np.zeros(1, int), masks, 0.5)


def mask_of(path, out):
    (scan,) = find_scans(path)
    assert write_nifti_mask(OutputFolder(out), 'scan', scan, bone(scan))
    return scan, nibabel.load(out / 'scan' / 'lesions.nii.gz')


@pytest.mark.parametrize('axes', [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize('flips', [(1, 1, 1), (-1, 1, -1)])
def test_mask_aligns_with_a_nifti_volume(tmp_path, axes, flips):
    affine = np.array([[-0.7, 0.01, 0, 100], [0.01, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(chest_volume(4), affine).as_reoriented(
        np.stack([np.array(axes, float), np.array(flips, float)], axis=1)
    )
    image.set_sform(image.affine, 2)
    image.set_qform(image.affine, 1)
    image.to_filename(tmp_path / 'v.nii.gz')
    source = nibabel.load(tmp_path / 'v.nii.gz')
    _, mask = mask_of(tmp_path / 'v.nii.gz', tmp_path / 'out')
    assert mask.shape == source.shape and np.array_equal(mask.affine, source.affine)
    assert (int(mask.header['sform_code']), int(mask.header['qform_code'])) == (2, 1)
    assert np.array_equal(mask.header.get_qform(), source.header.get_qform())
    assert np.array_equal(np.asarray(mask.dataobj), np.asarray(source.dataobj) >= 148)
    assert mask.get_data_dtype() == np.uint8


@pytest.mark.parametrize(
    'kind, unit, per_mm',
    [
        ('Nifti1Image', 'meter', 1e-3),
        ('Nifti1Image', 'micron', 1e3),
        ('Nifti1Image', 'unknown', 1),
        ('Nifti2Image', 'mm', 1),
        ('Nifti2Image', 'meter', 1e-3),
    ],
)
def test_mask_has_the_unit_and_precision_of_the_input(tmp_path, kind, unit, per_mm):
    affine = np.array([[-0.7123456789, 0, 0, 100.123456789], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    affine[:3] *= per_mm
    image = getattr(nibabel, kind)(chest_volume(), affine)
    image.header.set_xyzt_units(unit, 'sec')
    image.to_filename(tmp_path / 'v.nii')
    source = nibabel.load(tmp_path / 'v.nii')
    scan, mask = mask_of(tmp_path / 'v.nii', tmp_path / 'out')
    assert type(mask) is getattr(nibabel, kind) and mask.header.get_xyzt_units() == (unit, 'sec')
    assert np.array_equal(mask.affine, source.affine) and mask.header.get_zooms() == source.header.get_zooms()
    assert (kind == 'Nifti1Image') != np.array_equal(mask.affine, affine)
    assert np.array_equal(np.asarray(mask.dataobj), chest_volume() >= 148)
    assert scan.info.spacing == pytest.approx((0.8, 0.7123456789))


def test_keeps_a_fourth_axis_of_one(tmp_path):
    path = write_nifti(tmp_path / 'v.nii', chest_volume()[..., None])
    _, mask = mask_of(path, tmp_path / 'out')
    assert mask.shape == (64, 64, 3, 1)


@pytest.mark.parametrize('tilted', [False, True])
def test_mask_aligns_with_a_dicom_series(tmp_path, tilted):
    """The affine maps every voxel of the mask to its DICOM pixel."""
    for index in range(3):
        place = {'ImagePositionPatient': [-100, -80 + 2 * index, 5 * index]} if tilted else {}
        save_dicom(
            tmp_path / 's' / f'{9 - index}.dcm',
            dicom_slice(
                np.ascontiguousarray(chest(index)[:, ::-1]).astype(np.int16),
                index,
                ImageOrientationPatient=[-1, 0, 0, 0, 1, 0],
                **place,
            ),
        )
    scan, mask = mask_of(tmp_path / 's', tmp_path / 'out')
    voxels = np.argwhere(np.asarray(mask.dataobj))
    assert len(voxels) == 3 * np.count_nonzero(chest() == 600)
    places = nibabel.affines.apply_affine(mask.affine, voxels) * (-1, -1, 1)
    for (column, row, index), place in list(zip(voxels, places))[::7]:
        header = scan.headers[index]
        expected = np.array(header.corner) + column * 0.7 * np.array([-1, 0, 0]) + row * 0.8 * np.array([0, 1, 0])
        assert place == pytest.approx(expected, abs=1e-3)
        assert chest(index)[:, ::-1][row, column] == 600


def test_images_and_uneven_series_have_no_mask(tmp_path):
    (scan,) = find_scans(write_images(tmp_path / 'png', 2))
    assert not write_nifti_mask(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan))
    for index, height in enumerate((0, 5, 30)):
        save_dicom(
            tmp_path / 's' / f'{index}.dcm', dicom_slice(chest().astype(np.int16), index, ImagePositionPatient=[0, 0, height])
        )
    (scan,) = find_scans(tmp_path / 's')
    assert not write_nifti_mask(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan))


def test_dicom_seg_refers_to_the_slices(tmp_path):
    highdicom = pytest.importorskip('highdicom')
    (scan,) = find_scans(write_series(tmp_path / 's', 3))
    out = OutputFolder(tmp_path / 'out')
    assert write_dicom_seg(out, 'scan', scan, bone(scan), 'model') == ''
    seg = highdicom.seg.segread(tmp_path / 'out' / 'scan' / 'lesions.dcm')
    import pydicom

    sources = [pydicom.dcmread(header.path) for header in scan.headers]
    frames = seg.get_pixels_by_source_instance([source.SOPInstanceUID for source in sources], combine_segments=True)
    for index, frame in enumerate(frames):
        assert np.array_equal(frame > 0, chest(index) == 600)
    assert seg.get_segment_description(1).segment_label == 'lesion' and 'esearch use only' in seg.ContentDescription
    assert seg.StudyInstanceUID == sources[0].StudyInstanceUID and seg.PatientID == 'secret-id'
    assert seg.FrameOfReferenceUID == sources[0].FrameOfReferenceUID


def test_dicom_seg_reports_why_it_is_not_written(tmp_path, monkeypatch):
    pytest.importorskip('highdicom')
    out = OutputFolder(tmp_path / 'out')
    (images,) = find_scans(write_images(tmp_path / 'png', 2))
    assert write_dicom_seg(out, 'scan', images, bone(images), 'model') == 'the scan is not a DICOM series'
    (scan,) = find_scans(write_series(tmp_path / 's', 2))
    assert write_dicom_seg(out, 'scan', scan, [Problem('a', 'b')], 'model') == 'no lesion was found'
    monkeypatch.setitem(__import__('sys').modules, 'highdicom.seg', None)
    with pytest.raises(ValueError, match=r'mmaffinity\[medical\]'):
        write_dicom_seg(out, 'scan', scan, bone(scan), 'model')


CHARSETS = [
    (['', 'ISO 2022 IR 87'], 'Yamada^Tarou=山田^太郎=やまだ^たろう'),
    (['', 'ISO 2022 IR 149'], 'Hong^Gildong=洪^吉洞=홍^길동'),
    ('GB18030', 'Wang^XiaoDong=王^小东'),
    ('GBK', 'Wang^XiaoDong=王^小东'),
    ('ISO_IR 100', 'Müller^Jörg'),
    ('ISO_IR 144', 'Люкceмбypг'),
    ('ISO_IR 192', 'Müller^山田'),
    ('ISO_IR 6', 'Smith^John'),
    ('', 'Smith^John'),
    (None, 'Smith^John'),
    (['ISO_IR 100'], 'Müller'),
]


@pytest.mark.parametrize('charset, name', CHARSETS)
def test_dicom_seg_keeps_names_in_any_character_set(tmp_path, charset, name):
    pytest.importorskip('highdicom')
    import pydicom

    changes = {} if charset is None else dict(SpecificCharacterSet=charset)
    (scan,) = find_scans(write_series(tmp_path / 's', 2, **changes, PatientName=name))
    assert write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model') == ''
    seg = pydicom.dcmread(tmp_path / 'out' / 'scan' / 'lesions.dcm')
    assert seg.SpecificCharacterSet == 'ISO_IR 192' and str(seg.PatientName) == name


@pytest.mark.parametrize('charset', [None, 'ISO_IR 6', 'ISO_IR 192', 'NONSENSE'])
def test_dicom_seg_with_text_outside_its_character_set(tmp_path, charset):
    pytest.importorskip('highdicom')
    folder = write_series(
        tmp_path / 's', 2, **({} if charset is None else dict(SpecificCharacterSet='ISO_IR 100')), PatientName='Muller^Jorg'
    )
    for path in folder.iterdir():
        content = path.read_bytes().replace(b'Muller^Jorg', b'M\xfcller^J\xf6rg')
        path.write_bytes(content.replace(b'ISO_IR 100', (charset or '').encode().ljust(10)) if charset else content)
    (scan,) = find_scans(folder)
    assert write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model') == ''


@pytest.mark.parametrize(
    'changes, reason',
    [
        (dict(SOPInstanceUID=''), '3 of 3 slices have no SOPInstanceUID to refer to'),
        (dict(SOPInstanceUID=None), '3 of 3 slices have no SOPInstanceUID'),
        (dict(SOPInstanceUID='1.2.3'), '3 of 3 slices share their SOPInstanceUID'),
        (dict(PixelSpacing=None), 'no PixelSpacing'),
        (dict(FrameOfReferenceUID=None), 'no FrameOfReferenceUID'),
        (dict(StudyInstanceUID=None), 'no StudyInstanceUID'),
        (dict(SeriesInstanceUID=None), 'no SeriesInstanceUID'),
        (dict(ImagePositionPatient=[0, 0, 0]), 'are at the same position'),
        (dict(ImagePositionPatient=None), 'no slice positions'),
    ],
)
def test_dicom_seg_without_references_is_not_written(tmp_path, changes, reason):
    pytest.importorskip('highdicom')
    for index in range(3):
        save_dicom(tmp_path / 's' / f'{index}.dcm', dicom_slice(chest(index).astype(np.int16), index, **changes))
    (scan,) = find_scans(tmp_path / 's')
    assert reason in write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model')
    assert not (tmp_path / 'out' / 'scan').exists()


@pytest.mark.parametrize('thickness', [None, 0, 5000])
def test_dicom_seg_takes_a_missing_thickness_from_the_positions(tmp_path, thickness):
    """dcmjs#29: a segmentation must state it, and scanners' exports do not always."""
    pytest.importorskip('highdicom')
    import pydicom

    folder = write_series(tmp_path / 's', 3, SliceThickness=thickness)
    (scan,) = find_scans(folder)
    assert scan.headers[0].thickness is None
    assert write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model') == ''
    seg = pydicom.dcmread(tmp_path / 'out' / 'scan' / 'lesions.dcm')
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 5
    (scan,) = find_scans(next(folder.iterdir()))
    assert 'neither SliceThickness' in write_dicom_seg(OutputFolder(tmp_path / 'one'), 'scan', scan, bone(scan), 'model')


def test_dicom_seg_of_a_header_with_a_damaged_sequence(tmp_path):
    """Found by fuzzing: pydicom's OSError was reported as a full disk, with its traceback as reason."""
    pytest.importorskip('highdicom')
    path = next(write_series(tmp_path / 's', 1).iterdir())
    content = path.read_bytes()
    at = content.index(b'\x08\0\x20\0DA')
    path.write_bytes(content[:at] + b'\x08\0\x10\x01SQ\0\0\1\0\0\0 ' + content[at:])
    (scan,) = find_scans(path)
    with pytest.raises(ValueError, match='a header entry cannot be copied') as raised:
        write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model')
    assert 'Traceback' not in str(raised.value)


def test_dicom_seg_with_an_invalid_identifier(tmp_path):
    """Found by fuzzing: a FrameOfReferenceUID of the type of a number raised TypeError."""
    pytest.importorskip('highdicom')
    path = next(write_series(tmp_path / 's', 1).iterdir())
    content = path.read_bytes()
    at = content.index(b'\x20\0\x52\0UI') + 4
    path.write_bytes(content[:at] + b'US' + content[at + 2 :])
    (scan,) = find_scans(path)
    with pytest.raises(ValueError, match='cannot'):
        write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model')


def test_dicom_seg_requires_identifiers_on_all_slices(tmp_path):
    pytest.importorskip('highdicom')
    write_series(tmp_path / 's', 2)
    save_dicom(tmp_path / 's' / '9.dcm', dicom_slice(chest(2).astype(np.int16), 2, SOPInstanceUID=''))
    (scan,) = find_scans(tmp_path / 's')
    assert '1 of 3 slices have no' in write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model')


def test_highdicom_does_not_write_to_the_console(tmp_path, capfd, monkeypatch):
    """Its log would be printed if logging is not configured."""
    highdicom = pytest.importorskip('highdicom')
    import logging

    real = highdicom.seg.Segmentation

    def loud(*args, **kwargs):
        logging.getLogger('highdicom.base').warning('duplicate references')
        return real(*args, **kwargs)

    monkeypatch.setattr(highdicom.seg, 'Segmentation', loud)
    monkeypatch.setattr(logging.getLogger(), 'handlers', [])
    (scan,) = find_scans(write_series(tmp_path / 's', 2))
    assert write_dicom_seg(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan), 'model') == ''
    assert capfd.readouterr() == ('', '') and logging.getLogger('highdicom').propagate


def test_a_series_at_one_position_has_no_nifti_mask(tmp_path):
    for index in range(2):
        save_dicom(
            tmp_path / 's' / f'{index}.dcm', dicom_slice(chest(index).astype(np.int16), index, ImagePositionPatient=[0, 0, 7])
        )
    (scan,) = find_scans(tmp_path / 's')
    assert not write_nifti_mask(OutputFolder(tmp_path / 'out'), 'scan', scan, bone(scan))
