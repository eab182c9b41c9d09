"""NIfTI volumes."""

import gzip
import itertools
import json
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, chest_volume, to_grey, write_nifti

from mmaffinity.scans import Problem, ReadOptions, nifti_scan
from mmaffinity.scans.nifti_scan import NiftiScan

nibabel = pytest.importorskip('nibabel')


def scan_of(path, **options):
    scan = NiftiScan(path, 'v', ReadOptions(**options))
    scan.check()
    return scan


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
def test_slices_in_the_radiological_view(tmp_path, name):
    scan = scan_of(write_nifti(tmp_path / name, chest_volume(4)))
    slices = list(scan.read())
    assert [item.position for item in slices] == [-300, -295, -290, -285]
    for index, item in enumerate(slices):
        assert np.array_equal(item.grey, to_grey(chest(index))) and item.index == index
        assert item.spacing == pytest.approx((0.8, 0.7)) and item.thickness == pytest.approx(5)
    assert scan.info.shape == (64, 64, 4)
    assert scan.info.notes == ['the header names no unit of length (code 0): taken as mm']  # nibabel writes none


@pytest.mark.parametrize('axes', list(itertools.permutations(range(3))))
@pytest.mark.parametrize('flips', [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
def test_any_storage_order_gives_the_same_slices(tmp_path, axes, flips, suffix):
    """nibabel turns the volume into another storage order; the slices have to come out the same."""
    original = nibabel.Nifti1Image(
        chest_volume(5), np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    )
    turn = np.stack([np.array(axes, float), np.array(flips, float)], axis=1)
    path = tmp_path / f'v{suffix}'
    original.as_reoriented(turn).to_filename(path)
    slices = sorted(scan_of(path).read(), key=lambda item: item.position)
    assert [item.position for item in slices] == pytest.approx([-300, -295, -290, -285, -280])
    for index, item in enumerate(slices):
        assert np.array_equal(item.grey, to_grey(chest(index))) and item.spacing == pytest.approx((0.8, 0.7))


def test_masks_go_back_to_where_they_came_from(tmp_path):
    volume = chest_volume(2)
    scan = scan_of(write_nifti(tmp_path / 'v.nii', volume))
    for item in scan.read():
        assert np.array_equal(scan.stored_masks(item.index, item.grey == 255), volume[..., item.index] >= 148)


def test_scaled_types_and_rescaling(tmp_path):
    scaled = patched(write_nifti(tmp_path / 'scaled.nii', (chest_volume() + 1024) * 2), 112, '<2f', 0.5, -1024)
    assert np.array_equal(nibabel.load(scaled).get_fdata(), chest_volume())
    for path in (scaled, write_nifti(tmp_path / 'f.nii', chest_volume().astype(np.float64))):
        assert np.array_equal(next(scan_of(path).read()).grey, to_grey(chest(0)))
    twelve = write_nifti(tmp_path / 'twelve.nii', (chest_volume() + 1024).astype(np.uint16))
    with pytest.raises(ValueError, match='from 24 to 1624, fewer than 1 in 20.*--rescale 1 -1024'):
        scan_of(twelve)
    scan = scan_of(twelve, rescale=(1, -1024))
    assert np.array_equal(next(scan.read()).grey, to_grey(chest(0))) and 'intercept -1024' in scan.info.notes[-1]
    with pytest.raises(ValueError, match='from 24 to 1624'):  # a rescaling that does not help
        scan_of(twelve, rescale=(1, 0))
    # What is in Hounsfield units is not rescaled again.
    assert np.array_equal(next(scan_of(scaled, rescale=(1, -1024)).read()).grey, to_grey(chest(0)))


def test_nan_and_infinity_become_air(tmp_path):
    volume = chest_volume(2).astype(np.float32)
    volume[:3, :, 0], volume[..., 1] = np.nan, np.inf
    good, bad = scan_of(write_nifti(tmp_path / 'v.nii.gz', volume)).read()
    assert '192 pixels are NaN' in good.notes[0] and (good.grey[:, :3] == 60).all()
    assert isinstance(bad, Problem) and 'no finite value' in bad.reason


@pytest.mark.parametrize(
    'volume, reason',
    [
        (np.zeros((64, 64, 2, 3), np.int16), 'series of volumes'),
        (np.zeros((1, 1, 1), np.int16), '1 x 1 pixels, too small'),
        (np.zeros((64, 64, 2), np.complex64), 'no Hounsfield units'),
        ((chest_volume() > 0).astype(np.uint8), 'a mask'),
    ],
)
def test_refuses_what_is_no_ct_volume(tmp_path, volume, reason):
    with pytest.raises(ValueError, match=reason):
        scan_of(write_nifti(tmp_path / 'v.nii', volume))


@pytest.mark.parametrize('low', [-1, -2000])
def test_stray_low_voxels_do_not_make_hounsfield_units(tmp_path, low):
    """A single -1, or corners that the scanner never measured."""
    volume = (chest_volume() + 1024).astype(np.int16)
    volume[0, 0, 0] = low
    if low == -2000:
        volume[:10] = low
    path = write_nifti(tmp_path / 'v.nii', volume)
    with pytest.raises(ValueError, match=f'from {low} to 1624, fewer than 1 in 20.*--rescale 1 -1024'):
        scan_of(path)
    scan = scan_of(path, rescale=(1, -1024))
    expected = to_grey(np.where(volume[..., 0] == low, -1000, volume[..., 0] - 1024))  # not measured: air
    assert np.array_equal(scan.stored_masks(0, next(scan.read()).grey), expected)


def test_a_refused_volume_stays_refused(tmp_path):
    scan = NiftiScan(
        write_nifti(tmp_path / 'v.nii', (chest_volume() + 1024).astype(np.uint16)), 'v', ReadOptions(rescale=(1, 0))
    )
    for _ in range(3):
        with pytest.raises(ValueError, match='no Hounsfield units'):
            scan.check()
    assert (scan.slope, scan.intercept) == (1, 0)


def test_an_infinite_slope_is_noted(tmp_path):
    scan = scan_of(patched(write_nifti(tmp_path / 'v.nii', chest_volume()), 112, '<2f', float('inf'), 5))
    assert any('scl_slope is inf: taken as not scaled' in note for note in scan.info.notes)
    assert np.array_equal(next(scan.read()).grey, to_grey(chest(0)))
    for usual in (0, float('nan')):
        scan = scan_of(patched(tmp_path / 'v.nii', 112, '<2f', usual, 5))
        assert not any('scl_slope' in note for note in scan.info.notes)


@pytest.mark.parametrize(
    'code, per_mm, words',
    [
        (1, 1e-3, 'unit of length is m: voxels are 0.7 x 0.8 x 5 mm'),
        (2, 1, None),
        (3, 1e3, 'unit of length is micrometre'),
        (0, 1, 'names no unit of length (code 0): taken as mm'),
        (7, 1, 'names no unit of length (code 7): taken as mm'),
    ],
)
def test_lengths_are_in_mm_whatever_the_unit(tmp_path, code, per_mm, words):
    affine = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    affine[:3] *= per_mm
    scan = scan_of(patched(write_nifti(tmp_path / 'v.nii', chest_volume(), affine), 123, '<B', code + 8))
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
        (np.array([[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0.0001, 0], [0, 0, 0, 1]]), 'without volume'),
    ],
)
def test_implausible_affines_are_refused(tmp_path, change, reason):
    affine = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    path = tmp_path / 'v.nii'
    nibabel.Nifti2Image(chest_volume(), np.eye(4)).to_filename(path)
    with np.errstate(all='ignore'):
        rows = np.nan_to_num(change @ affine, nan=0, posinf=np.inf, neginf=-np.inf)
    patched(path, 348, '<i', 2)  # sform_code
    with pytest.raises(ValueError, match=reason):
        scan_of(patched(path, 400, '<12d', *rows[:3].ravel()))


@pytest.mark.parametrize('kind, field, form, least', [('Nifti1Image', 108, '<f', 352), ('Nifti2Image', 168, '<q', 544)])
def test_the_header_is_not_read_as_voxels(tmp_path, kind, field, form, least):
    path = tmp_path / 'v.nii'
    getattr(nibabel, kind)(chest_volume(), np.diag([-1, 1, 5, 1.0])).to_filename(path)
    assert np.array_equal(next(scan_of(path).read()).grey, to_grey(chest(0)))
    for offset in (0, least - 4, -least):
        with pytest.raises(ValueError, match=f'at byte {offset}, within its header of {least} bytes: set vox_offset'):
            scan_of(patched(path, field, form, offset))
    if form == '<f':
        with pytest.raises(ValueError, match='at byte nan'):
            scan_of(patched(path, field, form, float('nan')))


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
def test_slices_of_too_many_pixels_are_refused(tmp_path, name):
    """Few bytes of gzip hold a slice that takes many gigabytes; its header tells before anything is unpacked."""
    path = patched(write_nifti(tmp_path / name, np.zeros((64, 64, 1), np.uint8)), 40, '<4h', 3, 12000, 12000, 1)
    with pytest.raises(ValueError, match='12000 x 12000 pixels, too large for an axial slice'):
        scan_of(path)


def test_notes_on_orientation(tmp_path):
    nibabel.Nifti1Image(chest_volume(), None).to_filename(tmp_path / 'v.nii')
    assert 'no orientation' in ' '.join(scan_of(tmp_path / 'v.nii').info.notes)
    cos, sin = np.cos(np.radians(20)), np.sin(np.radians(20))
    turned = np.array([[-0.7, 0, 0, 100], [0, 0.8 * cos, -5 * sin, -90], [0, 0.8 * sin, 5 * cos, -300], [0, 0, 0, 1.0]])
    notes = ' '.join(scan_of(write_nifti(tmp_path / 't.nii', chest_volume(), turned)).info.notes)
    assert 'slices are turned by 20.0 degrees against the body axis' in notes and 'tilt' not in notes
    sheared = np.array([[-0.7, 0, 0, 100], [0, 0.8, 2, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    assert 'gantry tilt: the slices are shifted by 21.8' in ' '.join(
        scan_of(write_nifti(tmp_path / 's.nii', chest_volume(), sheared)).info.notes
    )
    oblique = np.array([[-1, 0, 0, 0], [0, 0.7, -0.7, 0], [0, 0.7, 0.7, 0], [0, 0, 0, 1.0]])
    with pytest.raises(ValueError, match='oblique, not axial'):
        scan_of(write_nifti(tmp_path / 'o.nii', chest_volume(), oblique))


def patched(path, offset, form, *values):
    """The same volume with other header fields; gzip again where it was."""
    raw = bytearray(path.read_bytes() if path.suffix == '.nii' else gzip.decompress(path.read_bytes()))
    struct.pack_into(form, raw, offset, *values)
    path.write_bytes(raw if path.suffix == '.nii' else gzip.compress(bytes(raw), 1))
    return path


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
@pytest.mark.parametrize(
    'offset, form, values, reason',
    [
        (40, '<8h', (3, 32767, 32767, 32767, 1, 1, 1, 1), 'more than 1073741824 voxels'),
        (40, '<8h', (3, 1000, 1000, 1000, 1, 1, 1, 1), 'truncated|cannot hold'),
        (40, '<8h', (3, -5, 64, 3, 1, 1, 1, 1), 'which is no volume|damaged'),
        (108, '<f', (3e9,), 'beyond anything'),
        (70, '<h', (9999,), 'damaged'),
        (344, '<4s', (b'ni1\0',), 'pair'),
        (280, '<4f', (float('nan'),) * 4, 'affine'),
    ],
)
def test_hostile_headers(tmp_path, name, offset, form, values, reason):
    path = patched(write_nifti(tmp_path / name, chest_volume()), offset, form, *values)
    tracemalloc.start()
    with pytest.raises(ValueError, match=reason):
        scan_of(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_slices_before_the_damage_are_read(tmp_path):
    noise = np.random.default_rng(0).integers(-1000, 1000, (64, 64, 8)).astype(np.int16)
    path = write_nifti(tmp_path / 'v.nii.gz', noise)
    path.write_bytes(path.read_bytes()[:30000])
    results = list(scan_of(path).read())
    good = [item for item in results if not isinstance(item, Problem)]
    bad = [item for item in results if isinstance(item, Problem)]
    assert len(results) == 8 and 0 < len(good) < 8 and all('truncated or damaged' in item.reason for item in bad)
    assert [item.source for item in bad] == [f'v#{index}' for index in range(len(good), 8)]


def test_compressed_volumes_are_streamed(tmp_path):
    path = write_nifti(tmp_path / 'v.nii.gz', np.tile(chest(size=256).astype(np.int16)[..., None], (1, 1, 60)))
    scan = scan_of(path)
    tracemalloc.start()
    assert sum(1 for _ in scan.read()) == 60
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 256 * 256 * 2 / 2


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_uncompressed_volumes_are_read_in_constant_memory(tmp_path, axis):
    order = np.roll(np.arange(3), 2 - axis)  # where each axis goes; the third, across the slices, to `axis`
    image = nibabel.Nifti1Image(np.tile(chest(size=256).astype(np.int16)[..., None], (1, 1, 60)), np.diag([-1, 1, 5, 1.0]))
    image.as_reoriented(np.stack([order, np.ones(3)], axis=1)).to_filename(tmp_path / 'v.nii')
    scan = NiftiScan(tmp_path / 'v.nii', 'v', ReadOptions())
    assert scan.axis == axis
    for work in (scan.check, lambda: list(scan._rasters(range(60)))):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 * 256 * 256 * 8  # a few slices of float64; the volume has 60 of int16


def test_a_compressed_volume_against_its_storage_order_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(nifti_scan, 'MAX_WHOLE', 1000)
    image = nibabel.Nifti1Image(chest_volume(40), np.diag([-1, 1, 5, 1.0]))
    image.as_reoriented(np.array([[1, 1], [2, 1], [0, 1.0]])).to_filename(tmp_path / 'v.nii.gz')
    with pytest.raises(ValueError, match='save it uncompressed'):
        scan_of(tmp_path / 'v.nii.gz')


def test_without_nibabel_the_extra_is_named(tmp_path, monkeypatch):
    path = write_nifti(tmp_path / 'v.nii', chest_volume())
    monkeypatch.setitem(__import__('sys').modules, 'nibabel.nifti1', None)
    with pytest.raises(ValueError, match=r'mmaffinity\[medical\]'):
        NiftiScan(path, 'v', ReadOptions())


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_slices_or_reasons(tmp_path, data):
    path = tmp_path / 'base.nii'
    if not path.exists():
        write_nifti(path, chest_volume(2, 32))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, 351))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2, 360, 200]))]
    packed = data.draw(st.booleans())
    damaged = tmp_path / f'damaged.nii{".gz" if packed else ""}'
    damaged.write_bytes(gzip.compress(bytes(raw)) if packed else raw)
    try:
        scan = scan_of(damaged)
        json.dumps([scan.info.affine, scan.info.spacing, scan.info.slice_spacing], allow_nan=False)
        for item in scan.read():
            assert isinstance(item, Problem) or (item.grey.dtype == np.uint8 and min(item.grey.shape) >= 32)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    'volume',
    [
        chest_volume() + 1024,
        np.clip(chest_volume(), -160, 240),
        (chest_volume() > 0) * 255,
        np.abs(chest_volume()),
        chest_volume() / 1500.0,
        chest_volume().astype(np.int32) + 32768,
        np.full((64, 64, 3), -1000),
    ],
    ids=['12 bit', 'soft-tissue window', 'mask', 'PET', 'float', 'offset', 'constant'],
)
@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
def test_values_that_are_no_hounsfield_units_are_refused(tmp_path, volume, suffix):
    kind = np.float32 if volume.dtype.kind == 'f' else np.int32
    with pytest.raises(ValueError, match='Hounsfield units|no air'):
        scan_of(write_nifti(tmp_path / f'v{suffix}', volume.astype(kind)))


def test_a_slope_of_the_header_counts(tmp_path):
    wrong = patched(write_nifti(tmp_path / 'v.nii', chest_volume()), 112, '<2f', 1, 1024)
    with pytest.raises(ValueError, match='from 24 to 1624'):
        scan_of(wrong)


@pytest.mark.parametrize(
    'grey, rescale',
    [(to_grey(chest_volume()), (1500 / 255, -1350)), (to_grey(chest_volume()) / 255, (1500, -1350))],
    ids=['grey', 'float 0..1'],
)
def test_grey_levels_can_be_rescaled(tmp_path, grey, rescale):
    path = write_nifti(tmp_path / 'v.nii', grey.astype(np.float32))
    scan = scan_of(path, rescale=rescale)
    assert np.abs(next(scan.read()).grey.astype(int) - to_grey(chest(0))).max() <= 1
    with pytest.raises(ValueError, match='With the given slope 2 and intercept 0 it has values from .* none either'):
        scan_of(path, rescale=(2, 0))


def test_a_rescaling_that_is_not_needed_is_said_to_be_unused(tmp_path):
    scan = scan_of(write_nifti(tmp_path / 'v.nii', chest_volume()), rescale=(1, -1024))
    assert 'the given slope 1 and intercept -1024 were not used' in scan.info.notes[-1]


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
def test_headers_that_nibabel_corrects_are_read_as_it_does(tmp_path, capfd, pixdim, words, version):
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    image = kind(chest_volume(), None)
    image.header.set_qform(np.array([[0.7, 0, 0, -20], [0, 0.8, 0, -30], [0, 0, 5, -300], [0, 0, 0, 1]]), 1)
    image.header.set_xyzt_units('mm')
    image.to_filename(tmp_path / 'v.nii')
    patched(tmp_path / 'v.nii', 76 if version == 1 else 104, '<4f' if version == 1 else '<4d', *pixdim)
    expected = nibabel.load(tmp_path / 'v.nii').affine
    capfd.readouterr()
    scan = scan_of(tmp_path / 'v.nii')
    assert np.allclose(scan.info.affine, expected) and scan.info.spacing == pytest.approx((0.8, 0.7))
    (note,) = scan.info.notes
    assert 'was read as nibabel does' in note and words in note
    assert capfd.readouterr() == ('', '')  # nor does nibabel's own log reach the console


def test_an_orientation_that_nibabel_refuses_is_refused(tmp_path):
    image = nibabel.Nifti1Image(chest_volume(), None)
    image.header.set_qform(np.diag([0.7, 0.8, 5, 1]), 1)
    image.to_filename(tmp_path / 'v.nii')
    with pytest.raises(ValueError, match='damaged header, which nibabel does not read either: w2 should be positive'):
        scan_of(patched(tmp_path / 'v.nii', 256, '<2f', 1, 1))


def broken(content: bytes, how: str) -> bytes:
    return {
        'checksum': content[:-8] + b'1234' + content[-4:],
        'length': content[:-4] + b'1234',
        'cut': content[:-5],
        'trailer': content + b'something else',
        'zeros': content + bytes(512),
        'members': content + gzip.compress(b''),
    }[how]


@pytest.mark.parametrize(
    'how, words',
    [
        ('checksum', 'warning: the compressed file does not match its checksum'),
        ('length', 'warning: the compressed file'),
        ('cut', 'warning: the compressed file'),
        ('trailer', 'other bytes follow'),
        ('zeros', None),
        ('members', None),
    ],
)
@pytest.mark.parametrize('across', [False, True], ids=['streamed', 'whole'])
def test_the_end_of_a_compressed_file_is_looked_at(tmp_path, how, words, across):
    image = nibabel.Nifti1Image(
        chest_volume(), np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    )
    image.header.set_xyzt_units('mm')
    turned = image.as_reoriented(np.array([[1, 1], [2, 1], [0, 1]])) if across else image
    turned.to_filename(tmp_path / 'v.nii.gz')
    path = tmp_path / 'v.nii.gz'
    path.write_bytes(broken(path.read_bytes(), how))
    scan = scan_of(path)
    assert np.array_equal(next(scan.read()).grey, to_grey(chest(0)))
    assert [note for note in scan.info.notes if note.startswith(words or '')] == scan.info.notes
    assert len(scan.info.notes) == (words is not None)


def test_what_follows_the_voxels_is_not_unpacked_without_end(tmp_path):
    path = write_nifti(tmp_path / 'v.nii.gz', chest_volume())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(64 * 1024**2), 1))
    tracemalloc.start()
    scan = scan_of(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 'the file goes on after its voxels' in scan.info.notes[-1] and peak < 16 * 1024**2


@pytest.mark.parametrize('affine', [np.eye(4), np.diag([-1, -1, 1, 1]), np.diag([-0.8, -0.8, 0.8, 1])])
def test_an_affine_that_is_a_placeholder_is_warned_of(tmp_path, affine):
    """nnUNet#459: an array saved as (slice, row, column) was cut the wrong way, without a word."""
    scan = scan_of(write_nifti(tmp_path / 'v.nii', chest_volume(40).T, affine))
    assert any(note.startswith('warning: the affine puts the first voxel at 0, 0, 0') for note in scan.info.notes)
    moved = affine.copy()
    moved[:3, 3] = 0, -20.5, 0
    scan = scan_of(write_nifti(tmp_path / 'v.nii', chest_volume(40).T, moved))
    assert not any('first voxel' in note for note in scan.info.notes)


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
def test_values_without_a_window(tmp_path, name):
    volume = np.zeros((64, 64, 4), np.uint8)
    volume[3, 60, 2] = 7  # to the left, to the front
    image = nibabel.Nifti1Image(volume, np.diag([-1, 1, 2, 1.0]))
    image.header.set_slope_inter(0.5, 1)
    image.to_filename(tmp_path / name)
    scan = NiftiScan(tmp_path / name, 'v', ReadOptions())
    found = dict(scan.values([1, 2]))
    assert list(found) == [1, 2] and found[1].dtype == np.float64 and (found[1] == 1).all()
    assert np.argwhere(found[2] != 1).tolist() == [[3, 3]] and found[2][3, 3] == 4.5


def test_values_of_a_truncated_file(tmp_path):
    path = write_nifti(tmp_path / 'v.nii.gz', np.random.default_rng(0).integers(-900, 900, (64, 64, 4)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:-9000])
    scan = NiftiScan(path, 'v', ReadOptions())
    with pytest.raises(ValueError, match='is truncated or damaged'):
        list(scan.values(range(4)))


def test_a_given_affine_replaces_that_of_the_file(tmp_path):
    """The volume is stored from the feet; its own header has another axis and direction."""
    given = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    wrong = np.array([[0, 0, 0.7, 0], [0, -0.8, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1.0]])
    path = write_nifti(tmp_path / 'v.nii', chest_volume(3), wrong)
    scan = NiftiScan(path, 'v', ReadOptions(), given)
    assert [item.position for item in scan.read()] == [-300, -295, -290] and scan.info.affine == given.tolist()
    for index, item in enumerate(scan.read()):
        assert np.array_equal(item.grey, to_grey(chest(index)))
