"""DICOM series: order, orientation, irregularities."""

import numpy as np
import pytest
from scan_helpers import chest, dicom_slice, save_dicom, to_grey, write_series

from mmaffinity.scans import Problem, ReadOptions, find_scans

pytest.importorskip('pydicom')


def scans_in(folder, **options):
    return list(find_scans(folder, ReadOptions(**options)))


def only_scan(folder):
    (scan,) = scans_in(folder)
    return scan


def test_ordered_from_the_feet_to_the_head_by_position(tmp_path):
    scan = only_scan(write_series(tmp_path / 's', 4))
    slices = list(scan.read())
    assert [item.position for item in slices] == [-300, -295, -290, -285]
    assert [item.index for item in slices] == [0, 1, 2, 3] and slices[0].name == 's/im_004.dcm'
    for index, item in enumerate(slices):
        assert np.array_equal(item.grey, to_grey(chest(index))) and item.thickness == 5 and item.spacing == (0.8, 0.7)
    info = scan.info
    assert (info.kind, info.slice_spacing, info.num_slices, info.notes) == ('dicom', 5, 4, [])
    assert 'Secret' not in repr(info) and 'secret-id' not in repr(info)


def test_affine_maps_voxels_to_their_positions(tmp_path):
    scan = only_scan(write_series(tmp_path, 3))
    # Column 2, row 3, slice 1 by DICOM's formula, converted from left and back to right and front.
    left, back, head = -100 + 2 * 0.7, -80 + 3 * 0.8, -300 + 5
    assert np.array(scan.info.affine) @ [2, 3, 1, 1] == pytest.approx([-left, -back, head, 1])
    assert scan.info.shape == (64, 64, 3)


@pytest.mark.parametrize(
    'orientation, stored',
    [
        ([1, 0, 0, 0, 1, 0], lambda hu: hu),
        ([-1, 0, 0, 0, 1, 0], lambda hu: hu[:, ::-1]),
        ([1, 0, 0, 0, -1, 0], lambda hu: hu[::-1]),
        ([0, 1, 0, 1, 0, 0], lambda hu: hu.T),
        ([0, -1, 0, 1, 0, 0], lambda hu: hu.T[:, ::-1]),
    ],
)
def test_any_raster_is_transformed_to_the_radiological_view(tmp_path, orientation, stored):
    for index in range(2):
        pixels = np.ascontiguousarray(stored(chest(index)).astype(np.int16))
        save_dicom(tmp_path / f'{index}.dcm', dicom_slice(pixels, index, ImageOrientationPatient=orientation))
    scan = only_scan(tmp_path)
    slices = list(scan.read())
    assert [item.position for item in slices] == [-300, -295]
    assert np.array_equal(slices[1].grey, to_grey(chest(1)))
    assert slices[0].spacing == ((0.7, 0.8) if orientation[0] == 0 else (0.8, 0.7))
    mask = slices[0].grey > 200
    assert np.array_equal(scan.stored_masks(0, mask), stored(chest(0)) > -174)


def test_series_and_localizers_in_one_folder_are_separated(tmp_path):
    write_series(tmp_path / 'all' / 'a', 3, series='first')
    write_series(tmp_path / 'all' / 'b', 2, series='second')
    save_dicom(
        tmp_path / 'all' / 'scout.dcm',
        dicom_slice(chest().astype(np.int16), series='first', ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER']),
    )
    save_dicom(tmp_path / 'all' / 'larger.dcm', dicom_slice(chest(size=96).astype(np.int16), 9, series='first'))
    found = scans_in(tmp_path / 'all')
    (problem,) = (item for item in found if isinstance(item, Problem))
    assert problem.source == 'all/scout.dcm' and 'localizer' in problem.reason
    scans = [item for item in found if not isinstance(item, Problem)]
    assert sorted(scan.info.num_slices for scan in scans) == [1, 2, 3]
    assert len({scan.info.name for scan in scans}) == 3
    noted = [scan.info.num_slices for scan in scans if 'another size' in ' '.join(scan.info.notes)]
    assert sorted(noted) == [1, 3]


def test_the_same_image_twice_counts_once(tmp_path):
    write_series(tmp_path, 2)
    (tmp_path / 'copy.dcm').write_bytes((tmp_path / 'im_001.dcm').read_bytes())
    problem, scan = scans_in(tmp_path)
    assert scan.info.num_slices == 2 and 'contains the same image as' in problem.reason


def place(path, positions, **changes):
    for index, position in enumerate(positions):
        save_dicom(
            path / f'{index}.dcm', dicom_slice(chest().astype(np.int16), index, ImagePositionPatient=position, **changes)
        )
    return only_scan(path).info


@pytest.mark.parametrize(
    'heights, words',
    [((0, 5, 15, 20), 'about 1 slice is missing'), ((0, 5, 11, 16), 'uneven'), ((0, 5, 5, 10), 'at the position of another')],
)
def test_irregular_positions_are_noted(tmp_path, heights, words):
    info = place(tmp_path, [[0, 0, height] for height in heights])
    assert words in ' '.join(info.notes) and info.affine is None


def test_gantry_tilt_is_noted(tmp_path):
    sheared = place(tmp_path / 'a', [[0, 2 * index, 5 * index] for index in range(3)])
    assert 'gantry tilt: 0.0 degrees according to the header, 21.8' in ' '.join(sheared.notes) and sheared.affine is not None
    tilted = place(tmp_path / 'b', [[0, 0, 5 * index] for index in range(3)], GantryDetectorTilt=12)
    assert 'gantry tilt: 12.0 degrees' in ' '.join(tilted.notes)
    turned = [1, 0, 0, 0, np.cos(0.2), np.sin(0.2)]
    info = place(
        tmp_path / 'c',
        [[0, -np.sin(0.2) * 5 * index, np.cos(0.2) * 5 * index] for index in range(3)],
        ImageOrientationPatient=[round(float(value), 6) for value in turned],
    )
    assert 'rotated by 11.5 degrees' in ' '.join(info.notes) and info.slice_spacing == pytest.approx(5, abs=1e-3)


def test_missing_positions_fall_back_to_other_orders(tmp_path):
    for folder, changes, words in (
        ('a', dict(SliceLocation=None), 'InstanceNumber'),
        ('b', dict(SliceLocation=None, InstanceNumber=None), 'file name'),
    ):
        for index in range(2):
            data = dicom_slice(chest(index).astype(np.int16), 1 - index, ImagePositionPatient=None)
            for keyword in changes:
                if keyword in data:
                    delattr(data, keyword)
            save_dicom(tmp_path / folder / f'{index}.dcm', data)
        scan = only_scan(tmp_path / folder)
        assert f'ordered by {words}' in ' '.join(scan.info.notes)
        first = next(scan.read())
        assert first.position is None and first.thickness == 5 and first.index == 0
        assert np.array_equal(first.grey, to_grey(chest(1 if folder == 'a' else 0)))
    for index in range(2):
        save_dicom(
            tmp_path / 'c' / f'{index}.dcm',
            dicom_slice(chest().astype(np.int16), index, ImagePositionPatient=None, SliceLocation=-3.0 * index),
        )
    scan = only_scan(tmp_path / 'c')
    assert 'ordered by SliceLocation' in ' '.join(scan.info.notes)
    assert [item.position for item in scan.read()] == [-3, 0]


def test_damaged_slice_does_not_stop_the_scan(tmp_path):
    write_series(tmp_path / 's', 3)
    broken = tmp_path / 's' / 'im_002.dcm'
    broken.write_bytes(broken.read_bytes()[:-4000])
    results = list(only_scan(tmp_path / 's').read())
    assert [type(item).__name__ for item in results] == ['Slice', 'Problem', 'Slice']
    assert 'truncated' in results[1].reason and results[1].source == 's/im_002.dcm'


def test_only_remaining_slices_are_read(tmp_path):
    scan = only_scan(write_series(tmp_path, 3))
    keys = scan.keys()
    assert [item.key for item in scan.read({keys[0], keys[2]})] == [keys[1]] and len(set(keys)) == 3


@pytest.mark.parametrize(
    'syntax, content, hinted',
    [
        *(
            (name, b'\xff\xd8\xff\xc3\0\x0b\x10\0\x40\0\x40\1\1\x11\0\xff\xd9', extra)
            for name, extra in (('JPEGLSLossless', 'medical'), ('JPEG2000Lossless', 'jpeg'), ('JPEGLosslessSV1', 'jpeg'))
        ),
        ('JPEGExtended12Bit', b'\xff\xd8\xff\xc1\0\x0b\x0c\0\x40\0\x40\1\1\x11\0\xff\xd9', 'jpeg'),
        ('HTJ2KLossless', b'\0\0', 'jpeg'),
        ('RLELossless', b'\1' * 80, ''),
    ],
)
def test_missing_plugin_is_named(tmp_path, monkeypatch, syntax, content, hinted):
    import pydicom

    uid = getattr(pydicom.uid, syntax)
    if hinted:  # as where no plugin is installed
        monkeypatch.setattr(pydicom.pixels.get_decoder(uid), '_available', {})
    data = dicom_slice(chest().astype(np.int16))
    data.PixelData = pydicom.encaps.encapsulate([content])
    data['PixelData'].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = uid
    save_dicom(tmp_path / 'x.dcm', data)
    (problem,) = only_scan(tmp_path).read()
    assert f'mmaffinity[{hinted}]' in problem.reason if hinted else 'pip install' not in problem.reason


def test_patients_without_series_uid_are_separated_by_folder_and_study(tmp_path):
    for patient in 'ab':
        for index in range(2):
            save_dicom(
                tmp_path / 'all' / patient / f'{index}.dcm',
                dicom_slice(chest(index).astype(np.int16), index, SeriesInstanceUID=None, SOPInstanceUID=None),
            )
    assert [scan.info.num_slices for scan in scans_in(tmp_path / 'all')] == [2, 2]


def test_spacing_that_is_rounded_differently_is_one_scan(tmp_path):
    for index, spacing in enumerate(('0.70049', '0.70051', '0.70049')):
        save_dicom(tmp_path / f'{index}.dcm', dicom_slice(chest().astype(np.int16), index, PixelSpacing=[spacing] * 2))
    assert only_scan(tmp_path).info.num_slices == 3


def test_slices_with_one_instance_uid_are_kept(tmp_path):
    info = only_scan(write_series(tmp_path, 4, SOPInstanceUID='1.2.3')).info
    assert info.num_slices == 4 and 'same SOPInstanceUID' in ' '.join(info.notes)


def test_new_series_does_not_rename_existing_ones(tmp_path):
    write_series(tmp_path / 'in' / 'm', 2, series='a')
    found = [{scan.identity: scan.info.name for scan in scans_in(tmp_path / 'in')}]
    # After it, before it, and in the same series with another size, each found first or last.
    for folder, series, size in (('z', 'c', 64), ('b', 'b', 64), ('a', 'a', 48), ('y', 'a', 96)):
        write_series(tmp_path / 'in' / folder, 2, size, series=series)
        found.append({scan.identity: scan.info.name for scan in scans_in(tmp_path / 'in')})
    for earlier, later in zip(found, found[1:]):
        assert earlier.items() < later.items()
    assert len(set(found[-1].values())) == 5 and all(name.startswith('in/series_') for name in found[-1].values())


def test_names_do_not_depend_on_the_input_location(tmp_path):
    for series in (dict(series='a'), dict(series='b', SeriesInstanceUID=None)):
        write_series(tmp_path / 'one' / 'in' / series['series'], 2, **series)
    before = {scan.info.name for scan in scans_in(tmp_path / 'one' / 'in')}
    (tmp_path / 'one').rename(tmp_path / 'two')
    assert {scan.info.name for scan in scans_in(tmp_path / 'two' / 'in')} == before and len(before) == 2


def test_parts_of_a_series_are_identified_by_geometry_not_order(tmp_path):
    for folder, spacing in (('b', 0.7), ('a', 0.9)):
        write_series(tmp_path / 'in' / folder, 2, PixelSpacing=[spacing, spacing], SOPInstanceUID=f'1.{spacing}')
    names = {scan.info.spacing[0]: scan.info.name for scan in scans_in(tmp_path / 'in')}
    write_series(tmp_path / 'in' / '0', 2, PixelSpacing=[0.8, 0.8], SOPInstanceUID='1.2')
    later = {scan.info.spacing[0]: scan.info.name for scan in scans_in(tmp_path / 'in')}
    assert names.items() < later.items() and len(set(later.values())) == 3
    # They differ only in their number.
    write_series(tmp_path / 'in' / '1', 2, PixelSpacing=[0.8015, 0.8015], SOPInstanceUID='1.3')
    assert sum(scan.info.name.endswith('_2') for scan in scans_in(tmp_path / 'in')) == 1


def test_tilt_is_noted_without_positions(tmp_path):
    save_dicom(tmp_path / 'x.dcm', dicom_slice(chest().astype(np.int16), ImagePositionPatient=None, GantryDetectorTilt=20))
    assert 'gantry tilt: 20.0 degrees' in ' '.join(only_scan(tmp_path).info.notes)


@pytest.mark.parametrize(
    'step',
    [(0, 0, 0), (0, 0, 1e-4), (0, 0, 0.01), (30, 0, 0), (0.001, 20, 0.001)],
    ids=['none', 'nearly none', 'jitter', 'sideways', 'sideways jitter'],
)
@pytest.mark.parametrize('number', [2, 8])
def test_slices_at_one_position_have_no_volume(tmp_path, step, number):
    info = place(tmp_path, [[index * one for one in step] for index in range(number)])
    scan = only_scan(tmp_path)
    assert scan.slabs == [None] * number and info.affine is None and info.slice_spacing is None
    assert info.notes[0].startswith(f'warning: all {number} slices are at one position') and 'tilt' not in ' '.join(info.notes)
    assert [header.number for header in scan.headers] == list(range(1, number + 1))


def test_slices_side_by_side_have_no_affine(tmp_path):
    info = place(tmp_path, [[40 * index, 0, 5 * index] for index in range(3)])
    assert info.affine is None and 'warning: the slices are side by side' in ' '.join(info.notes)


def test_phases_at_equal_positions_share_the_slabs(tmp_path):
    info = place(tmp_path, [[0, 0, height] for height in (0, 0, 5, 5, 10, 10)])
    assert only_scan(tmp_path).slabs == [2.5] * 6 and 'warning: 3 of 6 slices are at the position of another' in ' '.join(
        info.notes
    )


@pytest.mark.parametrize('number', [None, 7], ids=['no numbers', 'one number'])
def test_without_positions_and_numbers_names_give_the_order(tmp_path, number):
    for index in range(12):
        save_dicom(
            tmp_path / f'{index}.dcm',
            dicom_slice(chest().astype(np.int16), index, ImagePositionPatient=None, InstanceNumber=number),
        )
    scan = only_scan(tmp_path)
    assert [header.name.rsplit('/')[-1] for header in scan.headers] == [f'{index}.dcm' for index in range(12)]
    assert any('ordered by file name' in note for note in scan.info.notes)


def test_slice_with_invalid_position_is_a_separate_scan(tmp_path):
    """Not a number, as some converters write."""
    write_series(tmp_path, 4)
    path = tmp_path / 'im_002.dcm'
    content = path.read_bytes()
    assert content.count(b'-290.0') == 1
    path.write_bytes(content.replace(b'-290.0', b'NaN   '))
    scans = scans_in(tmp_path)
    assert sorted(scan.info.num_slices for scan in scans) == [1, 3]
    (lone,) = (scan for scan in scans if scan.info.num_slices == 1)
    assert any('ImagePositionPatient' in note and note.endswith('ignored') for note in lone.info.notes)
