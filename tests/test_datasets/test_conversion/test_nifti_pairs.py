"""Conversion of volumes with masks to lesion slices: orientation, labels, complete results, bad pairs."""

import gzip
import json
import re

import cv2
import numpy as np
import pytest
from conversion_helpers import BOX, put_volumes, stored, view_mask
from pycocotools import mask as mask_utils
from scan_helpers import SIZE, chest, chest_volume, to_grey, write_nifti

from mmaffinity.datasets.conversion import PairOptions, SplitOptions, convert_nifti_pairs
from mmaffinity.datasets.lesion_dataset import LesionDataset
from mmaffinity.scans import ReadOptions, find_scans

WHOLE = SplitOptions(val_share=0, test_share=0)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / 'images', tmp_path / 'masks', tmp_path / 'out'


def read(folders, name='lesions_train'):
    return json.loads((folders[2] / 'annotations' / f'{name}.json').read_text())


def test_slices_and_lesions(folders):
    put_volumes(folders, 'study_1', mask_name='study_1_mask')
    summary = convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    coco = read(folders)
    assert [(image['file_name'], image['patient_id'], image['scan_id']) for image in coco['images']] == [
        ('slices/study_1/0001.png', 'study_1', 'study_1'),
        ('slices/study_1/0002.png', 'study_1', 'study_1'),
    ]
    for image, annotation, index in zip(coco['images'], coco['annotations'], (1, 2), strict=True):
        grey = cv2.imread(str(folders[2] / image['file_name']), cv2.IMREAD_UNCHANGED)
        assert grey.dtype == np.uint8 and np.array_equal(grey, to_grey(chest(index)))
        assert annotation['image_id'] == image['id'] and annotation['bbox'] == list(BOX) and annotation['area'] == 96
        assert np.array_equal(mask_utils.decode(annotation['segmentation']), view_mask())
    assert not summary.problems and summary.statistics['num_slices'] == 2
    dataset = LesionDataset(ann_file='annotations/lesions_train.json', data_root=str(folders[2]), pipeline=[])
    assert len(dataset) == 2 and dataset.get_data_info(0)['instances'][0]['bbox'] == [40, 30, 48, 42]


@pytest.mark.parametrize(
    'flips, order', [((), (0, 1, 2)), ((0,), (0, 1, 2)), ((1, 2), (0, 1, 2)), ((0, 2), (1, 0, 2)), ((), (2, 0, 1))]
)
def test_any_storage_order_gives_the_radiological_view(folders, flips, order):
    """Image and mask share a storage order; slices are equal, and prediction reads the same pixels."""
    affine = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    volume, mask = chest_volume(3), stored([view_mask()] * 3)
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
        volume, mask = np.flip(volume, axis), np.flip(mask, axis)
    affine[:3, :3] = affine[:3, list(order)]
    volume, mask = volume.transpose(order), mask.transpose(order)
    put_volumes(folders, 'a', volume=np.ascontiguousarray(volume), mask=np.ascontiguousarray(mask), affine=affine)
    convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    coco = read(folders)
    assert [annotation['bbox'] for annotation in coco['annotations']] == [list(BOX)] * 3
    (scan,) = find_scans(folders[0])
    for item, image in zip(scan.read(), coco['images'], strict=True):
        assert np.array_equal(item.grey, cv2.imread(str(folders[2] / image['file_name']), cv2.IMREAD_UNCHANGED))
    index = 2 if 2 in flips else 0  # the slice nearest the feet
    assert np.array_equal(cv2.imread(str(folders[2] / f'slices/a/000{index}.png'), cv2.IMREAD_UNCHANGED), to_grey(chest(0)))


def test_window_and_every_and_negatives(folders):
    put_volumes(folders, 'a', number=7, lesions=(2, 3))
    options = PairOptions(min_area=20, every=2, negatives=True)
    convert_nifti_pairs(*folders, options, WHOLE)
    coco = read(folders)
    assert [image['file_name'][-8:-4] for image in coco['images']] == ['0000', '0002', '0004', '0006']
    assert [annotation['image_id'] for annotation in coco['annotations']] == [2]
    reading = ReadOptions(window=type(ReadOptions().window)(40, 400))
    convert_nifti_pairs(*folders, PairOptions(min_area=20, reading=reading), WHOLE, overwrite=True)
    assert [image['file_name'][-8:-4] for image in read(folders)['images']] == ['0002', '0003']
    grey = cv2.imread(str(folders[2] / 'slices/a/0002.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(grey, to_grey(chest(2), 40, 400))
    assert not (folders[2] / 'slices/a/0000.png').exists()  # of the earlier result


def test_slices_with_only_small_lesions_are_omitted(folders):
    mask = stored([view_mask(), np.zeros((SIZE, SIZE), np.uint8), view_mask()])
    mask[..., 2][mask[..., 2] > 0] = 0
    mask[5:8, 5:8, 2] = 1
    put_volumes(folders, 'a', number=3, mask=mask)
    summary = convert_nifti_pairs(*folders, PairOptions(min_area=20, negatives=True), WHOLE)
    assert [image['file_name'][-8:-4] for image in read(folders)['images']] == ['0000', '0001']
    assert summary.lesions[0]['too_small'] == 1


def test_lesion_labels(folders):
    lungs = np.where(stored([view_mask(3)] * 3) == 3, 3, 1).astype(np.uint8)
    lungs[:10] = 2
    put_volumes(folders, 'a', number=3, mask=lungs)
    with pytest.raises(ValueError, match=r'the masks contain the labels 1, 2, 3: specify .* --lesion-labels 3'):
        convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    assert not folders[2].exists() and not folders[2].with_name('.out.mmaffinity.part').exists()
    convert_nifti_pairs(*folders, PairOptions(lesion_labels=[3], min_area=20), WHOLE)
    assert [annotation['bbox'] for annotation in read(folders)['annotations']] == [list(BOX)] * 3
    put_volumes(folders, 'b', number=3)  # a mask of another kind: the label is not in it
    summary = convert_nifti_pairs(*folders, PairOptions(lesion_labels=[3], min_area=20), WHOLE, overwrite=True)
    assert '1 mask has none of the labels [3] (b)' in summary.warnings


def test_masks_with_255_or_floating_point_values(folders):
    put_volumes(folders, 'a', mask=stored([view_mask(255)] * 4))
    put_volumes(folders, 'b', mask=stored([view_mask(255)] * 4).astype(np.float32) + np.float32(1e-5))
    summary = convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    assert not summary.problems and len(read(folders)['annotations']) == 8


def test_bad_pair_does_not_stop_the_others(folders):
    images, masks, _ = folders
    put_volumes(folders, 'good')
    put_volumes(folders, 'grey', volume=np.clip((chest_volume(4).astype(float) + 1350) / 1500 * 255, 0, 255).astype(np.float32))
    put_volumes(folders, 'shape', mask=stored([view_mask()] * 5))
    put_volumes(folders, 'fraction', mask=stored([view_mask()] * 4) * np.float32(0.4))
    put_volumes(folders, 'negative', mask=-stored([view_mask()] * 4).astype(np.int16))
    put_volumes(folders, 'broken')
    (images / 'broken.nii.gz').write_bytes((images / 'broken.nii.gz').read_bytes()[:-900])
    put_volumes(folders, 'torn')
    whole = gzip.decompress((masks / 'torn.nii.gz').read_bytes())
    (masks / 'torn.nii.gz').write_bytes(gzip.compress(whole)[:-60])
    put_volumes(folders, 'elsewhere')
    write_nifti(
        masks / 'elsewhere.nii.gz',
        stored([view_mask()] * 4),
        np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -80], [0, 0, 5, -300], [0, 0, 0, 1.0]]),
    )
    (images / 'alone.nii').write_bytes(b'')
    summary = convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    assert {image['scan_id'] for image in read(folders)['images']} == {'good'}
    assert sorted(path.name for path in (folders[2] / 'slices').iterdir()) == ['good']
    found = {problem.split(':')[0]: problem for problem in summary.problems}
    expected = {
        'grey': 'has values from 59.5 to 255, fewer than 1 in 20 of them below -100: not Hounsfield units',
        'shape': 'has 64 x 64 x 4 voxels, but its mask .*shape.nii.gz has 64 x 64 x 5: they do not match',
        'fraction': 'its mask .*fraction.nii.gz contains the value 0.4; labels must be whole numbers',
        'negative': 'contains the value -1; labels must be whole numbers of at least 0',
        'broken': 'broken.nii.gz is truncated or damaged',
        'torn': 'its mask .*torn.nii.gz is truncated or damaged',
        'elsewhere': r'corners are up to 10.0 mm apart.*with --ignore-affine',
    }
    assert found.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.search(pattern, found[name]), found[name]
    assert summary.warnings[0] == '1 volume has no mask and is left out (alone.nii)'
    record = json.loads((folders[2] / 'annotations' / 'conversion.json').read_text())
    assert record['left_out'] == summary.problems and record['options']['min_area'] == 20


def test_damaged_headers_do_not_stop_the_others(folders):
    put_volumes(folders, 'good')
    random = np.random.default_rng(0)
    for number in range(60):
        name = f'bad_{number:02d}'
        put_volumes(folders, name, number=2, lesions=(0, 1))
        path = folders[number % 2] / f'{name}.nii.gz'
        content = bytearray(gzip.decompress(path.read_bytes()))
        for place in random.integers(40, 348, 1 + number % 6):
            content[place] = random.integers(256)
        path.write_bytes(gzip.compress(bytes(content), 1))
    summary = convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    scans = {image['scan_id'] for image in read(folders)['images']}
    assert 'good' in scans and 10 < len(summary.problems) < 60
    assert {problem.split(':')[0] for problem in summary.problems} == {f'bad_{number:02d}' for number in range(60)} - scans


def test_grey_levels_are_rescaled_if_that_gives_hounsfield_units(folders):
    hu = chest_volume(4)
    put_volumes(folders, 'corona', volume=hu)
    put_volumes(folders, 'radio', volume=((np.clip(hu.astype(float), -1250, 250) + 1250) * 255 / 1500).astype(np.float32))
    options = PairOptions(min_area=20, reading=ReadOptions(rescale=(1500 / 255, -1250)))
    summary = convert_nifti_pairs(*folders, options, WHOLE)
    assert not summary.problems and len(read(folders)['images']) == 4
    for index in (1, 2):
        corona, radio = (
            cv2.imread(str(folders[2] / f'slices/{name}/000{index}.png'), cv2.IMREAD_UNCHANGED).astype(int)
            for name in ('corona', 'radio')
        )
        assert np.array_equal(corona, to_grey(chest(index))) and np.abs(corona - radio).max() <= 1
    assert any(text.endswith('were used (radio)') for text in summary.warnings)
    assert any(
        text.startswith('the given slope') and 'were not used' in text and text.endswith('(corona)')
        for text in summary.warnings
    )


def test_mask_without_orientation_is_accepted_on_request(folders):
    put_volumes(folders, 'a')
    write_nifti(folders[1] / 'a.nii.gz', stored([view_mask() * (index in (1, 2)) for index in range(4)]), np.eye(4))
    with pytest.raises(ValueError, match='no usable slices: a: does not align with its mask'):
        convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    convert_nifti_pairs(*folders, PairOptions(min_area=20, ignore_affine=True), WHOLE)
    assert [annotation['bbox'] for annotation in read(folders)['annotations']] == [list(BOX)] * 2


def test_patients_stay_in_one_split(folders):
    for number in range(12):
        put_volumes(folders, f'radio_{number // 2}_{number}', number=2, lesions=(0,))
    summary = convert_nifti_pairs(*folders, PairOptions(min_area=20), SplitOptions(0.2, 0.3, 3), r'(radio_\d+)')
    parts = {
        name: {image['patient_id'] for image in read(folders, f'lesions_{name}')['images']} for name in ('train', 'val', 'test')
    }
    assert [len(parts[name]) for name in ('train', 'val', 'test')] == [3, 1, 2] and len(set().union(*parts.values())) == 6
    for fold in range(3):
        train, test = (
            {image['patient_id'] for image in read(folders, f'fold_{fold}/lesions_{part}')['images']}
            for part in ('train', 'test')
        )
        assert (len(train), len(test)) == (4, 2) and not train & test
    assert [row['slices'] for row in summary.lesions[:3]] == [6, 2, 4]
    with pytest.raises(ValueError, match="patient_pattern='study' has no group"):
        convert_nifti_pairs(*folders, patient_pattern='study')
    with pytest.raises(ValueError, match='matches no patient in radio_0_0'):
        convert_nifti_pairs(*folders, patient_pattern=r'(study_\d+)')


def test_conversion_is_reproducible_and_replaces_only_its_own_result(folders):
    put_volumes(folders, 'a')
    put_volumes(folders, 'b')
    out = folders[2]

    def content():
        return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob('*')) if path.is_file()}

    convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE, workers=1)
    first = content()
    with pytest.raises(FileExistsError, match=r'contains an earlier result.*\(--overwrite\)'):
        convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE, overwrite=True, workers=2)
    assert content() == first and len(first) == 7
    with pytest.raises(FileExistsError, match='is something else'):
        convert_nifti_pairs(*folders[:2], folders[0], overwrite=True)
    assert (folders[0] / 'a.nii.gz').exists()


def test_interruption_leaves_no_files(folders, monkeypatch):
    put_volumes(folders, 'a')

    def interrupted(*args, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmaffinity.datasets.conversion.results.write_jsons_atomic', interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    assert sorted(path.name for path in folders[2].parent.iterdir()) == ['images', 'masks']


def test_full_disk_is_not_reported_as_a_bad_pair(folders, monkeypatch):
    put_volumes(folders, 'a')

    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mmaffinity.datasets.conversion.results.ResultFolder.write_slice', full)
    with pytest.raises(OSError, match='No space left'):
        convert_nifti_pairs(*folders, PairOptions(min_area=20), WHOLE)
    assert not folders[2].exists()


def test_invalid_options(folders):
    for wrong, message in (
        (dict(every=0), 'every=0 must be at least 1'),
        (dict(min_area=-1), 'must not be negative'),
        (dict(lesion_labels=[0]), r'lesion_labels=\[0\] must be whole numbers above 0'),
        (dict(lesion_labels=[]), r'lesion_labels=\[\]'),
    ):
        with pytest.raises(ValueError, match=message):
            PairOptions(**wrong)
    put_volumes(folders, 'a', lesions=())
    with pytest.raises(ValueError, match='contain no lesion larger than 100 pixels'):
        convert_nifti_pairs(*folders)


def test_real_masks_on_a_synthetic_scan(shared_dir, folders):
    """The masks' own orientation, sizes and header: lesions on the slices that nibabel's canonical order gives."""
    import nibabel

    path = sorted((shared_dir / 'data' / 'lesion_masks').glob('*.nii*'))[0]
    mask = nibabel.load(path)
    values = np.asarray(mask.dataobj)
    volume = np.full(mask.shape, -800, np.int16)
    volume[100:400, 100:400] = 40
    folders[0].mkdir()
    nibabel.Nifti1Image(volume, mask.affine).to_filename(folders[0] / path.name.replace('_mask', ''))
    convert_nifti_pairs(folders[0], path.parent, folders[2], splits=WHOLE)
    coco = read(folders)
    drawn = np.zeros(values.shape, bool)
    numbers = {image['id']: int(image['file_name'][-8:-4]) for image in coco['images']}
    for annotation in coco['annotations']:
        view = mask_utils.decode(annotation['segmentation']).astype(bool)
        drawn[..., numbers[annotation['image_id']]] |= view[::-1].T  # LAS
    assert nibabel.aff2axcodes(mask.affine) == ('L', 'A', 'S')
    assert not drawn[values == 0].any() and drawn.sum() > 0.8 * values.astype(bool).sum()


def test_the_reported_case(shared_dir, folders):
    """Grey levels 0 to 255 labelled as CT are rejected with their masks; the same patient in HU is accepted."""
    import nibabel

    for name in ('radiopaedia_like', 'radiopaedia_hu'):
        (path,) = (shared_dir / 'cases' / name).glob('*.nii.gz')
        image = nibabel.load(path)
        mask = np.zeros(image.shape, np.uint8)
        mask[100:120, 100:120] = 1
        write_nifti(folders[0] / f'{name}.nii.gz', np.asarray(image.dataobj), image.affine)
        write_nifti(folders[1] / f'{name}.nii.gz', mask, image.affine)
    summary = convert_nifti_pairs(*folders, splits=WHOLE)
    assert len(summary.problems) == 1 and summary.problems[0].startswith('radiopaedia_like: has values from 0 to 255')
    assert {image['scan_id'] for image in read(folders)['images']} == {'radiopaedia_hu'}
