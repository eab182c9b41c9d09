"""NIfTI headers: reading, corrections, notes and rejections."""

import tracemalloc

import numpy as np
import pytest
from scan_helpers import checked_nifti, chest, chest_volume, patched_nifti, to_grey, write_nifti

from mmaffinity.scans import ReadOptions
from mmaffinity.scans.nifti_scan import NiftiScan

nibabel = pytest.importorskip('nibabel')


def test_an_infinite_slope_is_noted(tmp_path):
    scan = checked_nifti(patched_nifti(write_nifti(tmp_path / 'v.nii', chest_volume()), 112, '<2f', float('inf'), 5))
    assert any('scl_slope is inf: treated as unscaled' in note for note in scan.info.notes)
    assert np.array_equal(next(scan.read()).grey, to_grey(chest(0)))
    for usual in (0, float('nan')):
        scan = checked_nifti(patched_nifti(tmp_path / 'v.nii', 112, '<2f', usual, 5))
        assert not any('scl_slope' in note for note in scan.info.notes)


@pytest.mark.parametrize(
    'code, per_mm, words',
    [
        (1, 1e-3, 'unit of length is m: voxels are 0.7 x 0.8 x 5 mm'),
        (2, 1, None),
        (3, 1e3, 'unit of length is micrometre'),
        (0, 1, 'gives no unit of length (code 0): mm is assumed'),
        (7, 1, 'gives no unit of length (code 7): mm is assumed'),
    ],
)
def test_lengths_are_converted_to_mm(tmp_path, code, per_mm, words):
    affine = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    affine[:3] *= per_mm
    scan = checked_nifti(patched_nifti(write_nifti(tmp_path / 'v.nii', chest_volume(), affine), 123, '<B', code + 8))
    assert [item.position for item in scan.read()] == pytest.approx([-300, -295, -290])
    assert scan.info.spacing == pytest.approx((0.8, 0.7)) and scan.info.slice_spacing == pytest.approx(5)
    assert np.allclose(np.array(scan.info.affine)[:3], affine[:3] / per_mm)
    assert scan.info.notes == [] if words is None else words in scan.info.notes[0]


@pytest.mark.parametrize(
    'change, reason',
    [
        (np.diag([1e200, 1e200, 1e200, 1]), r'spacing of 7e\+199 x 8e\+199 x 5e\+200 mm, outside 0.001 to 1000 mm: correct'),
        (np.diag([1e-4, 1, 1, 1]), 'spacing of 7e-05 x'),
        (np.diag([1, 1, 300, 1]), 'x 1500 mm, outside'),
        (np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -1e7], [0, 0, 0, 1]]), 'further than 1e\\+06 mm from the centre'),
        (np.diag([np.inf, 1, 1, 1]), 'not finite'),
        (np.array([[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0.0001, 0], [0, 0, 0, 1]]), 'degenerate affine'),
    ],
)
def test_implausible_affines_are_rejected(tmp_path, change, reason):
    affine = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    path = tmp_path / 'v.nii'
    nibabel.Nifti2Image(chest_volume(), np.eye(4)).to_filename(path)
    with np.errstate(all='ignore'):
        rows = np.nan_to_num(change @ affine, nan=0, posinf=np.inf, neginf=-np.inf)
    patched_nifti(path, 348, '<i', 2)  # sform_code
    with pytest.raises(ValueError, match=reason):
        checked_nifti(patched_nifti(path, 400, '<12d', *rows[:3].ravel()))


@pytest.mark.parametrize('kind, field, form, least', [('Nifti1Image', 108, '<f', 352), ('Nifti2Image', 168, '<q', 544)])
def test_header_is_not_read_as_voxels(tmp_path, kind, field, form, least):
    path = tmp_path / 'v.nii'
    getattr(nibabel, kind)(chest_volume(), np.diag([-1, 1, 5, 1.0])).to_filename(path)
    assert np.array_equal(next(checked_nifti(path).read()).grey, to_grey(chest(0)))
    for offset in (0, least - 4, -least):
        with pytest.raises(ValueError, match=f'at byte {offset}, within its header of {least} bytes: set vox_offset'):
            checked_nifti(patched_nifti(path, field, form, offset))
    if form == '<f':
        with pytest.raises(ValueError, match='at byte nan'):
            checked_nifti(patched_nifti(path, field, form, float('nan')))


def test_notes_on_orientation(tmp_path):
    nibabel.Nifti1Image(chest_volume(), None).to_filename(tmp_path / 'v.nii')
    assert 'no orientation' in ' '.join(checked_nifti(tmp_path / 'v.nii').info.notes)
    cos, sin = np.cos(np.radians(20)), np.sin(np.radians(20))
    turned = np.array([[-0.7, 0, 0, 100], [0, 0.8 * cos, -5 * sin, -90], [0, 0.8 * sin, 5 * cos, -300], [0, 0, 0, 1.0]])
    notes = ' '.join(checked_nifti(write_nifti(tmp_path / 't.nii', chest_volume(), turned)).info.notes)
    assert 'slices are rotated by 20.0 degrees from the body axis' in notes and 'tilt' not in notes
    sheared = np.array([[-0.7, 0, 0, 100], [0, 0.8, 2, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    assert 'gantry tilt: 21.8' in ' '.join(checked_nifti(write_nifti(tmp_path / 's.nii', chest_volume(), sheared)).info.notes)
    oblique = np.array([[-1, 0, 0, 0], [0, 0.7, -0.7, 0], [0, 0.7, 0.7, 0], [0, 0, 0, 1.0]])
    with pytest.raises(ValueError, match='oblique, not axial'):
        checked_nifti(write_nifti(tmp_path / 'o.nii', chest_volume(), oblique))


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
@pytest.mark.parametrize(
    'offset, form, values, reason',
    [
        (40, '<8h', (3, 32767, 32767, 32767, 1, 1, 1, 1), 'more than 1073741824 voxels'),
        (40, '<8h', (3, 1000, 1000, 1000, 1, 1, 1, 1), 'truncated|cannot hold'),
        (40, '<8h', (3, -5, 64, 3, 1, 1, 1, 1), 'which is not a volume|damaged'),
        (108, '<f', (3e9,), 'far beyond the end'),
        (70, '<h', (9999,), 'damaged'),
        (344, '<4s', (b'ni1\0',), 'pair'),
        (280, '<4f', (float('nan'),) * 4, 'affine'),
    ],
)
def test_hostile_headers(tmp_path, name, offset, form, values, reason):
    path = patched_nifti(write_nifti(tmp_path / name, chest_volume()), offset, form, *values)
    tracemalloc.start()
    with pytest.raises(ValueError, match=reason):
        checked_nifti(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_without_nibabel_the_extra_is_named(tmp_path, monkeypatch):
    path = write_nifti(tmp_path / 'v.nii', chest_volume())
    monkeypatch.setitem(__import__('sys').modules, 'nibabel.nifti1', None)
    with pytest.raises(ValueError, match=r'mmaffinity\[medical\]'):
        NiftiScan(path, 'v', ReadOptions())


def test_slope_of_the_header_is_applied(tmp_path):
    wrong = patched_nifti(write_nifti(tmp_path / 'v.nii', chest_volume()), 112, '<2f', 1, 1024)
    with pytest.raises(ValueError, match='from 24 to 1624'):
        checked_nifti(wrong)


@pytest.mark.parametrize(
    'pixdim, words',
    [
        ((0, 0.7, 0.8, 5), 'qfac'),
        ((1, -0.7, 0.8, 5), 'should be positive'),
        ((1, 0.7, 0.8, -5), 'should be positive'),
        ((0, -0.7, -0.8, -5), 'should be positive'),
        ((3, 0.7, 0.8, 5), 'qfac'),
    ],
)
@pytest.mark.parametrize('version', [1, 2])
def test_headers_are_corrected_as_by_nibabel(tmp_path, capfd, pixdim, words, version):
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    image = kind(chest_volume(), None)
    image.header.set_qform(np.array([[0.7, 0, 0, -20], [0, 0.8, 0, -30], [0, 0, 5, -300], [0, 0, 0, 1]]), 1)
    image.header.set_xyzt_units('mm')
    image.to_filename(tmp_path / 'v.nii')
    patched_nifti(tmp_path / 'v.nii', 76 if version == 1 else 104, '<4f' if version == 1 else '<4d', *pixdim)
    expected = nibabel.load(tmp_path / 'v.nii').affine
    capfd.readouterr()
    scan = checked_nifti(tmp_path / 'v.nii')
    assert np.allclose(scan.info.affine, expected) and scan.info.spacing == pytest.approx((0.8, 0.7))
    (note,) = scan.info.notes
    assert 'corrected as nibabel does' in note and words in note
    assert capfd.readouterr() == ('', '')  # nor does nibabel's own log reach the console


def test_orientation_rejected_by_nibabel_is_rejected(tmp_path):
    image = nibabel.Nifti1Image(chest_volume(), None)
    image.header.set_qform(np.diag([0.7, 0.8, 5, 1]), 1)
    image.to_filename(tmp_path / 'v.nii')
    with pytest.raises(ValueError, match='damaged header, which nibabel cannot read: w2 should be positive'):
        checked_nifti(patched_nifti(tmp_path / 'v.nii', 256, '<2f', 1, 1))


@pytest.mark.parametrize('affine', [np.eye(4), np.diag([-1, -1, 1, 1]), np.diag([-0.8, -0.8, 0.8, 1])])
def test_placeholder_affine_gives_a_warning(tmp_path, affine):
    """nnUNet#459: an array saved as (slice, row, column) was silently sliced along the wrong axis."""
    scan = checked_nifti(write_nifti(tmp_path / 'v.nii', chest_volume(40).T, affine))
    assert any(note.startswith('warning: the affine puts the first voxel at 0, 0, 0') for note in scan.info.notes)
    moved = affine.copy()
    moved[:3, 3] = 0, -20.5, 0
    scan = checked_nifti(write_nifti(tmp_path / 'v.nii', chest_volume(40).T, moved))
    assert not any('first voxel' in note for note in scan.info.notes)
