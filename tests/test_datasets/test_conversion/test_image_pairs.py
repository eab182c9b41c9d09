"""Conversion of slices and masks with equal names to COCO JSON: lesions, patients, bad pairs, links."""

import json

import cv2
import numpy as np
import pytest
from conversion_helpers import put_pictures
from pycocotools import mask as mask_utils

from mmaffinity.datasets.conversion import LesionOptions, PatientTable, SplitOptions, UnitOptions, convert_image_pairs
from mmaffinity.datasets.lesion_dataset import LesionDataset

WHOLE = SplitOptions(val_share=0, test_share=0)
SMALL = LesionOptions([2], min_area=20)
BY_FOLDER = UnitOptions('^([^/]+)/')


@pytest.fixture
def folders(tmp_path):
    return tmp_path / 'image', tmp_path / 'mask', tmp_path / 'out'


def read(folders, name='lesions_train'):
    return json.loads((folders[2] / 'annotations' / f'{name}.json').read_text())


def test_slices_and_lesions(folders):
    put_pictures(folders, 'P1/0001')
    put_pictures(folders, 'P1/0002', lesion=None)
    put_pictures(folders, 'P2/0001', suffix='.png')
    put_pictures(folders, 'P2/0002', lesion=(30, 20, 3, 3))
    summary = convert_image_pairs(*folders, SMALL, WHOLE, BY_FOLDER)
    coco = read(folders)
    assert [(image['file_name'], image['width'], image['height'], image['patient_id']) for image in coco['images']] == [
        ('images/P1/0001.jpg', 80, 64, 'P1'),
        ('images/P2/0001.png', 80, 64, 'P2'),
    ]
    assert [annotation['bbox'] for annotation in coco['annotations']] == [[40, 30, 8, 12]] * 2
    assert mask_utils.decode(coco['annotations'][0]['segmentation']).sum() == 96
    assert (folders[2] / 'images').is_symlink() and not summary.problems and not summary.warnings
    assert summary.lesions[0] == dict(
        split='lesions_train', slices=2, patients=2, with_lesions=2, lesions=dict(lesion=2), too_small=1
    )
    dataset = LesionDataset(ann_file='annotations/lesions_train.json', data_root=str(folders[2]), pipeline=[])
    assert cv2.imread(dataset.get_data_info(1)['img_path']).shape == (64, 80, 3)
    convert_image_pairs(*folders, LesionOptions([2], negatives=True, min_area=20), WHOLE, BY_FOLDER, overwrite=True)
    assert [image['file_name'] for image in read(folders)['images']] == [
        'images/P1/0001.jpg',
        'images/P1/0002.jpg',
        'images/P2/0001.png',
    ]  # a slice with a too small lesion is not a negative
    assert (folders[0] / 'P1/0001.jpg').exists()  # the link was replaced, not its target


def test_copies(folders):
    put_pictures(folders, 'P1/0001')
    put_pictures(folders, 'P1/0002', lesion=None)
    convert_image_pairs(*folders, SMALL, WHOLE, BY_FOLDER, copy=True)
    assert not (folders[2] / 'images').is_symlink()
    copies = [path for path in (folders[2] / 'images').rglob('*') if path.is_file()]
    assert [path.relative_to(folders[2]).as_posix() for path in copies] == ['images/P1/0001.jpg']
    assert copies[0].read_bytes() == (folders[0] / 'P1/0001.jpg').read_bytes()


def test_labels_must_be_known(folders):
    put_pictures(folders, 'a')
    with pytest.raises(ValueError, match=r'the masks contain the labels 1, 2: specify .* --lesion-labels 2'):
        convert_image_pairs(*folders, LesionOptions(min_area=20), WHOLE)
    with pytest.raises(ValueError, match='contain no lesion larger than 20 pixels .lesion labels: .*3.*check --lesion-labels'):
        convert_image_pairs(*folders, LesionOptions([3], min_area=20), WHOLE)
    assert not folders[2].exists()
    put_pictures(folders, 'b', label=255)
    mask = cv2.imread(str(folders[1] / 'b.png'), cv2.IMREAD_UNCHANGED)
    for name in 'ab':
        cv2.imwrite(str(folders[1] / f'{name}.png'), mask // 255 * 255)
    convert_image_pairs(*folders, LesionOptions(min_area=20), WHOLE)
    assert [annotation['area'] for annotation in read(folders)['annotations']] == [96, 96]


def test_bad_pair_does_not_stop_the_others(folders):
    images, masks, _ = folders
    for name in ('good', 'size', 'jpeg', 'torn', 'colour', 'alone'):
        put_pictures(folders, name)
    cv2.imwrite(str(masks / 'size.png'), np.zeros((64, 64), np.uint8))
    mask = cv2.imread(str(masks / 'jpeg.png'), cv2.IMREAD_UNCHANGED)
    (masks / 'jpeg.png').write_bytes(cv2.imencode('.jpg', mask)[1].tobytes())
    (images / 'torn.jpg').write_bytes((images / 'torn.jpg').read_bytes()[:200])
    cv2.imwrite(str(masks / 'colour.png'), np.uint8(np.arange(64 * 80 * 3).reshape(64, 80, 3) % 251))
    (masks / 'alone.png').unlink()
    summary = convert_image_pairs(*folders, SMALL, WHOLE)
    assert [image['file_name'] for image in read(folders)['images']] == ['images/good.jpg']
    found = {problem.split(':')[0]: problem for problem in summary.problems}
    assert found.keys() == {'size', 'jpeg', 'torn', 'colour'}
    assert 'size.png is 64 x 64 pixels, but its image is 80 x 64' in found['size']
    assert 'is a JPEG' in found['jpeg'] and 'truncated JPEG' in found['torn'] and 'coloured' in found['colour']
    assert summary.warnings[0] == '1 image has no mask and is left out (alone.jpg)'
    record = json.loads((folders[2] / 'annotations' / 'conversion.json').read_text())
    assert record['left_out'] == summary.problems and record['options']['lesion_labels'] == [2]


def test_patients_of_a_table_stay_in_one_split(folders, tmp_path):
    for number in range(12):
        put_pictures(folders, f'{number:04d}', seed=number)
    (tmp_path / 'table.csv').write_text(
        'slice,case,patient\n' + ''.join(f'{number:04d},c,P{number // 2}\n' for number in range(11))
    )
    units = UnitOptions(patients=PatientTable(str(tmp_path / 'table.csv'), 'slice', 'patient'))
    summary = convert_image_pairs(*folders, SMALL, SplitOptions(0.2, 0.3, 3), units)
    parts = {
        name: {image['patient_id'] for image in read(folders, f'lesions_{name}')['images']} for name in ('train', 'val', 'test')
    }
    assert [len(part) for part in parts.values()] == [3, 1, 2] and len(set().union(*parts.values())) == 6
    assert all('group' not in image for image in read(folders)['images'])
    assert summary.problems == [f'1 slice without a patient in {tmp_path / "table.csv"} (0011)']
    for fold in range(3):
        train, test = (
            {image['patient_id'] for image in read(folders, f'fold_{fold}/lesions_{part}')['images']}
            for part in ('train', 'test')
        )
        assert len(train) == 4 and len(test) == 2 and not train & test


def test_unknown_patients_stay_unknown(folders):
    for number in range(12):
        put_pictures(folders, f'{number:04d}', seed=number // 2)
    summary = convert_image_pairs(*folders, SMALL, SplitOptions(0.2, 0.3))
    rows = {part: read(folders, f'lesions_{part}')['images'] for part in ('train', 'val', 'test')}
    assert {image['patient_id'] for images in rows.values() for image in images} == {None}
    groups = [{image['group'] for image in images} for images in rows.values()]
    assert [len(images) for images in rows.values()] == [6, 2, 4] and [len(part) for part in groups] == [3, 1, 2]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert summary.warnings[0].startswith('patients are unknown: ') and '(12 slices in 6 groups' in summary.warnings[0]
    assert summary.lesions[0]['patients'] is None and 'unknown' in summary.table()


def test_conversion_is_reproducible_and_interruption_leaves_no_files(folders, monkeypatch):
    for number in range(6):
        put_pictures(folders, f'{number}', seed=number)

    def content():
        return {path.relative_to(folders[2]): path.read_bytes() for path in sorted(folders[2].rglob('*')) if path.is_file()}

    convert_image_pairs(*folders, SMALL, workers=1)
    first = content()
    with pytest.raises(FileExistsError, match=r'contains an earlier result.*\(--overwrite\)'):
        convert_image_pairs(*folders, SMALL)

    def interrupted(*args, **keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr('mmaffinity.datasets.conversion.results.write_jsons_atomic', interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert_image_pairs(*folders, LesionOptions([2], min_area=0), overwrite=True)
    assert content() == first and not folders[2].with_name('.out.mmaffinity.part').exists()
    convert_image_pairs(*folders, SMALL, overwrite=True, workers=3)
    assert content() == first


def test_phantom_lesions_equal_those_of_its_own_converter(tiny_phantom, tmp_path):
    """With patient folders and CNCB-NCOV masks, the general converter gives the same annotations as the special one."""
    root = tiny_phantom / 'cncb_ncov'
    convert_image_pairs(
        root / 'ct_lesion_seg/image',
        root / 'ct_lesion_seg/mask',
        tmp_path / 'out',
        LesionOptions([2, 3], negatives=True, min_area=10),
        WHOLE,
        BY_FOLDER,
    )

    def lesions(path, prefix):
        coco = json.loads(path.read_text())
        names = {image['id']: image['file_name'].removeprefix(prefix) for image in coco['images']}
        return {
            name: sorted(
                annotation['segmentation']['counts']
                for annotation in coco['annotations']
                if names[annotation['image_id']] == name
            )
            for name in names.values()
        }

    expected = {}
    for part in ('train', 'test'):
        expected |= lesions(root / f'annotations/lesions_{part}.json', 'ct_lesion_seg/image/')
    found = lesions(tmp_path / 'out/annotations/lesions_train.json', 'images/')
    assert sum(map(len, found.values())) > 10
    expected = {name: value for name, value in expected.items() if value}
    assert {name: found[name] for name in expected} == expected


def test_real_slices(shared_dir, tmp_path):
    """Every 20th slice of COVID-19-CT-Seg: one lesion image per mask that marks one, all of a patient in one split."""
    source = shared_dir / 'data/lesion_slices'
    for number in range(0, 1614, 20):
        for name in (f'image/{number:04d}.jpg', f'mask/{number:04d}.png'):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).symlink_to(source / name)
    units = UnitOptions(patients=PatientTable(str(source / 'slices.csv'), 'slice', 'patient'))
    folders = tmp_path / 'image', tmp_path / 'mask', tmp_path / 'out'
    summary = convert_image_pairs(*folders, LesionOptions([2], min_area=0), SplitOptions(), units)
    images = {part: read(folders, f'lesions_{part}')['images'] for part in ('train', 'val', 'test')}
    assert sum(map(len, images.values())) == 81 and not summary.problems and not summary.warnings
    patients = [{image['patient_id'] for image in rows} for rows in images.values()]
    assert sum(map(len, patients)) == len(set().union(*patients)) == 18
    area = sum(annotation['area'] for part in images for annotation in read(folders, f'lesions_{part}')['annotations'])
    assert area == sum(int((cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == 2).sum()) for path in folders[1].iterdir())
