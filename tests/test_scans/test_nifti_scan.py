"""NIfTI volumes."""

import gzip
import itertools
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import checked_nifti, chest, chest_volume, patched_nifti, to_grey, write_nifti

from mmaffinity.scans import Problem, ReadOptions, nifti_scan
from mmaffinity.scans.nifti_scan import NiftiScan

nibabel = pytest.importorskip('nibabel')


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
def test_slices_in_the_radiological_view(tmp_path, name):
    scan = checked_nifti(write_nifti(tmp_path / name, chest_volume(4)))
    slices = list(scan.read())
    assert [item.position for item in slices] == [-300, -295, -290, -285]
    for index, item in enumerate(slices):
        assert np.array_equal(item.grey, to_grey(chest(index))) and item.index == index
        assert item.spacing == pytest.approx((0.8, 0.7)) and item.thickness == pytest.approx(5)
    assert scan.info.shape == (64, 64, 4)
    assert scan.info.notes == ['the header gives no unit of length (code 0): mm is assumed']  # nibabel writes none


@pytest.mark.parametrize('axes', list(itertools.permutations(range(3))))
@pytest.mark.parametrize('flips', [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
def test_any_storage_order_gives_the_same_slices(tmp_path, axes, flips, suffix):
    """nibabel converts the volume to another storage order; the slices must not change."""
    original = nibabel.Nifti1Image(
        chest_volume(5), np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    )
    turn = np.stack([np.array(axes, float), np.array(flips, float)], axis=1)
    path = tmp_path / f'v{suffix}'
    original.as_reoriented(turn).to_filename(path)
    slices = sorted(checked_nifti(path).read(), key=lambda item: item.position)
    assert [item.position for item in slices] == pytest.approx([-300, -295, -290, -285, -280])
    for index, item in enumerate(slices):
        assert np.array_equal(item.grey, to_grey(chest(index))) and item.spacing == pytest.approx((0.8, 0.7))


def test_masks_map_back_to_the_stored_raster(tmp_path):
    volume = chest_volume(2)
    scan = checked_nifti(write_nifti(tmp_path / 'v.nii', volume))
    for item in scan.read():
        assert np.array_equal(scan.stored_masks(item.index, item.grey == 255), volume[..., item.index] >= 148)


def test_scaled_types_and_rescaling(tmp_path):
    scaled = patched_nifti(write_nifti(tmp_path / 'scaled.nii', (chest_volume() + 1024) * 2), 112, '<2f', 0.5, -1024)
    assert np.array_equal(nibabel.load(scaled).get_fdata(), chest_volume())
    for path in (scaled, write_nifti(tmp_path / 'f.nii', chest_volume().astype(np.float64))):
        assert np.array_equal(next(checked_nifti(path).read()).grey, to_grey(chest(0)))
    twelve = write_nifti(tmp_path / 'twelve.nii', (chest_volume() + 1024).astype(np.uint16))
    with pytest.raises(ValueError, match='from 24 to 1624, fewer than 1 in 20.*--rescale 1 -1024'):
        checked_nifti(twelve)
    scan = checked_nifti(twelve, rescale=(1, -1024))
    assert np.array_equal(next(scan.read()).grey, to_grey(chest(0))) and 'intercept -1024' in scan.info.notes[-1]
    with pytest.raises(ValueError, match='from 24 to 1624'):  # a rescaling that does not help
        checked_nifti(twelve, rescale=(1, 0))
    # Hounsfield units are not rescaled again.
    assert np.array_equal(next(checked_nifti(scaled, rescale=(1, -1024)).read()).grey, to_grey(chest(0)))


def test_nan_and_infinity_become_air(tmp_path):
    volume = chest_volume(2).astype(np.float32)
    volume[:3, :, 0], volume[..., 1] = np.nan, np.inf
    good, bad = checked_nifti(write_nifti(tmp_path / 'v.nii.gz', volume)).read()
    assert '192 pixels are NaN' in good.notes[0] and (good.grey[:, :3] == 60).all()
    assert isinstance(bad, Problem) and 'no finite value' in bad.reason


@pytest.mark.parametrize(
    'volume, reason',
    [
        (np.zeros((64, 64, 2, 3), np.int16), 'series of volumes'),
        (np.zeros((1, 1, 1), np.int16), '1 x 1 pixels, too small'),
        (np.zeros((64, 64, 2), np.complex64), 'not Hounsfield units'),
        ((chest_volume() > 0).astype(np.uint8), 'a mask'),
    ],
)
def test_files_other_than_ct_volumes_are_rejected(tmp_path, volume, reason):
    with pytest.raises(ValueError, match=reason):
        checked_nifti(write_nifti(tmp_path / 'v.nii', volume))


@pytest.mark.parametrize('low', [-1, -2000])
def test_stray_low_voxels_do_not_make_hounsfield_units(tmp_path, low):
    """A single -1, or corners that the scanner never measured."""
    volume = (chest_volume() + 1024).astype(np.int16)
    volume[0, 0, 0] = low
    if low == -2000:
        volume[:10] = low
    path = write_nifti(tmp_path / 'v.nii', volume)
    with pytest.raises(ValueError, match=f'from {low} to 1624, fewer than 1 in 20.*--rescale 1 -1024'):
        checked_nifti(path)
    scan = checked_nifti(path, rescale=(1, -1024))
    expected = to_grey(np.where(volume[..., 0] == low, -1000, volume[..., 0] - 1024))  # not measured: air
    assert np.array_equal(scan.stored_masks(0, next(scan.read()).grey), expected)


def test_rejected_volume_stays_rejected(tmp_path):
    scan = NiftiScan(
        write_nifti(tmp_path / 'v.nii', (chest_volume() + 1024).astype(np.uint16)), 'v', ReadOptions(rescale=(1, 0))
    )
    for _ in range(3):
        with pytest.raises(ValueError, match='not Hounsfield units'):
            scan.check()
    assert (scan.slope, scan.intercept) == (1, 0)


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
def test_oversized_slices_are_rejected(tmp_path, name):
    """A slice of many gigabytes compresses to a few bytes; the header shows its size before anything is unpacked."""
    path = patched_nifti(write_nifti(tmp_path / name, np.zeros((64, 64, 1), np.uint8)), 40, '<4h', 3, 12000, 12000, 1)
    with pytest.raises(ValueError, match='12000 x 12000 pixels, too large'):
        checked_nifti(path)


def test_slices_before_the_damage_are_read(tmp_path):
    noise = np.random.default_rng(0).integers(-1000, 1000, (64, 64, 8)).astype(np.int16)
    path = write_nifti(tmp_path / 'v.nii.gz', noise)
    path.write_bytes(path.read_bytes()[:30000])
    results = list(checked_nifti(path).read())
    good = [item for item in results if not isinstance(item, Problem)]
    bad = [item for item in results if isinstance(item, Problem)]
    assert len(results) == 8 and 0 < len(good) < 8 and all('truncated or damaged' in item.reason for item in bad)
    assert [item.source for item in bad] == [f'v#{index}' for index in range(len(good), 8)]


def test_compressed_volumes_are_streamed(tmp_path):
    path = write_nifti(tmp_path / 'v.nii.gz', np.tile(chest(size=256).astype(np.int16)[..., None], (1, 1, 60)))
    scan = checked_nifti(path)
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


def test_compressed_volume_across_its_storage_order_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(nifti_scan, 'MAX_WHOLE', 1000)
    image = nibabel.Nifti1Image(chest_volume(40), np.diag([-1, 1, 5, 1.0]))
    image.as_reoriented(np.array([[1, 1], [2, 1], [0, 1.0]])).to_filename(tmp_path / 'v.nii.gz')
    with pytest.raises(ValueError, match='save it uncompressed'):
        checked_nifti(tmp_path / 'v.nii.gz')


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
        scan = checked_nifti(damaged)
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
def test_values_other_than_hounsfield_units_are_rejected(tmp_path, volume, suffix):
    kind = np.float32 if volume.dtype.kind == 'f' else np.int32
    with pytest.raises(ValueError, match='Hounsfield units|no air'):
        checked_nifti(write_nifti(tmp_path / f'v{suffix}', volume.astype(kind)))


@pytest.mark.parametrize(
    'grey, rescale',
    [(to_grey(chest_volume()), (1500 / 255, -1350)), (to_grey(chest_volume()) / 255, (1500, -1350))],
    ids=['grey', 'float 0..1'],
)
def test_grey_levels_can_be_rescaled(tmp_path, grey, rescale):
    path = write_nifti(tmp_path / 'v.nii', grey.astype(np.float32))
    scan = checked_nifti(path, rescale=rescale)
    assert np.abs(next(scan.read()).grey.astype(int) - to_grey(chest(0))).max() <= 1
    with pytest.raises(
        ValueError, match='With the given slope 2 and intercept 0 it has values from .* not Hounsfield units either'
    ):
        checked_nifti(path, rescale=(2, 0))


def test_unneeded_rescaling_is_reported_as_unused(tmp_path):
    scan = checked_nifti(write_nifti(tmp_path / 'v.nii', chest_volume()), rescale=(1, -1024))
    assert 'the given slope 1 and intercept -1024 were not used' in scan.info.notes[-1]


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
def test_checksum_of_a_compressed_file_is_verified(tmp_path, how, words, across):
    image = nibabel.Nifti1Image(
        chest_volume(), np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    )
    image.header.set_xyzt_units('mm')
    turned = image.as_reoriented(np.array([[1, 1], [2, 1], [0, 1]])) if across else image
    turned.to_filename(tmp_path / 'v.nii.gz')
    path = tmp_path / 'v.nii.gz'
    path.write_bytes(broken(path.read_bytes(), how))
    scan = checked_nifti(path)
    assert np.array_equal(next(scan.read()).grey, to_grey(chest(0)))
    assert [note for note in scan.info.notes if note.startswith(words or '')] == scan.info.notes
    assert len(scan.info.notes) == (words is not None)


def test_data_after_the_voxels_is_decompressed_within_a_limit(tmp_path):
    path = write_nifti(tmp_path / 'v.nii.gz', chest_volume())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(64 * 1024**2), 1))
    tracemalloc.start()
    scan = checked_nifti(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 'the file continues after its voxels' in scan.info.notes[-1] and peak < 16 * 1024**2


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
