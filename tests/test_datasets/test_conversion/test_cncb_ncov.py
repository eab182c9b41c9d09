import json
import os
import re
import shutil

import cv2
import numpy as np
import pytest
from conversion_helpers import CNCB_OUTPUTS, CNCB_SAMPLE, CNCB_TEST, CNCB_TRAIN, CNCB_VAL, write_cncb_lists, write_cncb_ncov

from mmaffinity.datasets.conversion import convert_cncb_ncov, convert_covidx_ct, downloads
from mmaffinity.datasets.conversion.cncb_ncov import draw_balanced_sample
from mmaffinity.datasets.conversion.lists import CncbSlice


@pytest.fixture
def root(tmp_path):
    return write_cncb_ncov(tmp_path / 'cncb')


def read(root, name):
    return json.loads((root / 'annotations' / name).read_text())


def snapshot(root):
    folder = root / 'annotations'
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_output_files(root):
    summary = convert_cncb_ncov(root, workers=2)
    assert set(snapshot(root)) == CNCB_OUTPUTS == {path.name for path in summary.files}
    train = read(root, 'slices_train.json')
    assert train['metainfo']['slice_classes'] == ['Normal', 'CP', 'COVID-19']
    assert train['data_list'] == [
        dict(img_path='Normal/1/10/0001.png', label=0, patient_id='1', scan_id='10'),
        dict(img_path='CP/2/11/0000.jpg', label=1, patient_id='2', scan_id='11'),
        dict(img_path='NCP/3/13/0001.png', label=2, patient_id='3', scan_id='13'),
    ]
    left_out = read(root, 'slices_train_left_out.json')['data_list']
    assert [row['img_path'] for row in left_out] == ['Normal/1/10/0000.png', 'CP/2/11/0001.png', 'NCP/3/12/0000.png']
    assert [row['label'] for row in read(root, 'slices_test.json')['data_list']] == [2, 2, 1]
    assert len(read(root, 'slices_val.json')['data_list']) == 2
    for name in CNCB_OUTPUTS - {'statistics.json'}:
        content = read(root, name)
        paths = [row.get('img_path') or row['file_name'] for row in content.get('data_list') or content['images']]
        assert all((root / path).is_file() for path in paths)
    lesions = read(root, 'lesions_train.json')
    assert [image['file_name'] for image in lesions['images']] == [
        'ct_lesion_seg/image/0/5.jpg',
        'ct_lesion_seg/image/0/17.jpg',
        'ct_lesion_seg/image/1/3.jpg',
    ]
    assert [annotation['image_id'] for annotation in lesions['annotations']] == [1, 3]
    assert all(annotation['area'] == 300 for annotation in lesions['annotations'])
    pixels = [cv2.imread(str(root / row['img_path']), cv2.IMREAD_GRAYSCALE).ravel() for row in train['data_list']]
    pixels = np.concatenate(pixels) / 255
    statistics = read(root, 'statistics.json')
    assert statistics == dict(
        mean=pytest.approx(pixels.mean()), std=pytest.approx(pixels.std()), num_slices=3, source='slices_train.json'
    )


def test_summary_and_table(root):
    summary = convert_cncb_ncov(root, workers=1)
    counts = {(row['split'], row['class']): (row['slices'], row['patients'], row['scans']) for row in summary.slices}
    assert counts['slices_train', 'all'] == (3, 3, 3)
    assert counts['slices_test', 'COVID-19'] == (2, 1, 1)
    assert counts['slices_test', 'Normal'] == (0, 0, 0)
    assert summary.lesions[0] == dict(
        split='lesions_train', slices=3, patients=2, with_lesions=2, lesions=dict(lesion=2), too_small=0
    )
    table = summary.table()
    assert re.search(r'slices_test +COVID-19 +2 +1 +1 +2 to 2, median 2', table)
    assert re.search(r'lesions_train +3 +2 +2 +2 +0', table)
    assert len({len(line) for line in table.splitlines() if line.startswith('---')}) == 2


def test_conversion_is_reproducible(root):
    convert_cncb_ncov(root, workers=2)
    first = snapshot(root)
    convert_cncb_ncov(root, workers=1)
    assert snapshot(root) == first


def test_options(root):
    convert_cncb_ncov(root, keep_classes_apart=True, min_area=300, skip_statistics=True)
    assert 'statistics.json' not in snapshot(root)
    assert [category['name'] for category in read(root, 'lesions_train.json')['categories']] == ['GGO', 'Consolidation']
    assert read(root, 'lesions_train.json')['annotations'] == []
    convert_cncb_ncov(root, keep_classes_apart=True, min_area=299, parts=['lesions'])
    annotations = read(root, 'lesions_train.json')['annotations']
    assert [annotation['category_id'] for annotation in annotations] == [1, 2]


def test_parts_and_lists_in_other_folders(root, tmp_path):
    (root / 'lists').rename(tmp_path / 'elsewhere')
    renamed = tmp_path / 'my_val.txt'
    (tmp_path / 'elsewhere' / 'val_COVIDx_CT-1.txt').rename(renamed)
    convert_cncb_ncov(
        root, parts=['slices'], lists=dict(val=renamed), list_folders=[tmp_path / 'nowhere', tmp_path / 'elsewhere']
    )
    assert set(snapshot(root)) == {name for name in CNCB_OUTPUTS if not name.startswith('lesions')}
    assert read(root, 'slices_val.json')['metainfo']['source'] == 'my_val.txt'
    with pytest.raises(ValueError, match=r"cannot convert the parts \['lesion'\]; choose from lesions, slices"):
        convert_cncb_ncov(root, parts=['lesion'])
    with pytest.raises(ValueError, match=r"cannot convert the lists \['vall'\]; choose from train, val, test, train_sample"):
        convert_cncb_ncov(root, lists=dict(vall=renamed))


def flatten(root, folder):
    """Convert the download to the layout of COVIDx-CT version 1: one folder, with lists next to it."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for row in CNCB_TRAIN + CNCB_VAL + CNCB_TEST:
        path = next(root.joinpath(*row.split('_')).parent.glob(row.rsplit('_', 1)[1] + '.*'))
        cv2.imwrite(str(root / folder / f'{row}.png'), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    for group in ('NCP', 'CP', 'Normal'):
        shutil.rmtree(root / group)
    for path in (root / 'lists').glob('*_COVIDx_CT-1.txt'):
        path.rename(root / path.name)


@pytest.mark.parametrize('folder', ['', '1_images', 'covidxct/images'])
def test_flat_layout_of_covidx_ct(root, folder):
    convert_cncb_ncov(root)
    before = {name: read(root, name) for name in CNCB_OUTPUTS}
    flatten(root, folder)
    convert_cncb_ncov(root)
    prefix = f'{folder}/' if folder else ''
    for name in CNCB_OUTPUTS - {'statistics.json'}:
        content = read(root, name)
        for was, row in zip(before[name].get('data_list', ()), content.get('data_list', ()), strict=True):
            flat_name = was.pop('img_path').replace('/', '_').replace('.jpg', '.png')
            assert row.pop('img_path') == prefix + flat_name
        assert content == before[name]  # the same slices, patients and lesions
    (root / folder / 'NCP_3_13_0001.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 file is missing .*: NCP/3/13/0001.png or .jpg or NCP_3_13_0001.png;'):
        convert_cncb_ncov(root)


def test_original_folders_take_precedence_over_the_flat_one(root):
    (root / 'rest').mkdir()
    (root / 'CP/5/15/0000.png').rename(root / 'rest/CP_5_15_0000.png')
    (root / 'rest/Normal_4_14_0000.png').touch()  # not an image, so it must not be read
    convert_cncb_ncov(root)
    assert [row['img_path'] for row in read(root, 'slices_val.json')['data_list']] == [
        'Normal/4/14/0000.png',
        'rest/CP_5_15_0000.png',
    ]


def test_lists_of_covidx_ct_are_not_overwritten(root):
    flatten(root, '1_images')
    convert_covidx_ct(root, skip_statistics=True)
    before = snapshot(root)
    with pytest.raises(ValueError, match='slices_test.json belongs to COVIDx-CT 1, and converting CNCB-NCOV would replace it'):
        convert_cncb_ncov(root)
    assert snapshot(root) == before
    convert_cncb_ncov(root, parts=['lesions'])  # no name collides with the other's
    assert snapshot(root).items() > before.items()


def test_balanced_sample(root):
    (root / 'lists' / 'train_split_classification.txt').unlink()
    with pytest.raises(FileNotFoundError, match='train_split_classification.txt is not in .*--samples-per-class 1000'):
        convert_cncb_ncov(root)
    convert_cncb_ncov(root, samples_per_class=1, seed=3)
    train = read(root, 'slices_train.json')['data_list']
    left_out = read(root, 'slices_train_left_out.json')['data_list']
    assert [row['label'] for row in train] == [0, 1, 2]
    assert len(left_out) == 3 and not {row['img_path'] for row in train} & {row['img_path'] for row in left_out}
    with pytest.raises(ValueError, match='samples_per_class=3, but .* only 2 slices of Normal; use'):
        convert_cncb_ncov(root, samples_per_class=3)
    with pytest.raises(ValueError, match='per class is 0; it must be at least 1'):
        convert_cncb_ncov(root, samples_per_class=0)
    with pytest.raises(ValueError, match='both the list given.txt and 1 sample per class are given'):
        convert_cncb_ncov(root, samples_per_class=1, lists=dict(train_sample='given.txt'))


def test_sample_depends_on_the_seed_but_not_on_the_order():
    rows = [CncbSlice(label, str(number), '1', '1') for label in range(3) for number in range(50)]
    sample = draw_balanced_sample(rows, 10, seed=1)
    assert len(set(sample)) == 30 and sample == draw_balanced_sample(rows[::-1], 10, seed=1)
    assert sample != draw_balanced_sample(rows, 10, seed=2)


def test_sample_list_of_another_training_list(root):
    write_cncb_lists(root / 'lists', sample=CNCB_SAMPLE[:1] + ['1_5_15_0000', '2_3_12_0009'])
    with pytest.raises(ValueError, match=r'lacks 2 rows of .* \(1_5_15_0000, 2_3_12_0009\)'):
        convert_cncb_ncov(root)


def test_missing_slices_are_counted_and_named(root):
    for path in (
        'Normal/1/10/0000.png',
        'NCP/6/16/0001.png',
        'CP/7/17/0000.png',
        'ct_lesion_seg/mask/1/3.png',
        'ct_lesion_seg/image/2/8.jpg',
    ):
        (root / path).unlink()
    with pytest.raises(FileNotFoundError) as info:
        convert_cncb_ncov(root)
    message = str(info.value)
    assert message.startswith(f'5 files are missing under {root} (1 for 3 slices from {root}/lists/train_split_seg')
    assert '2 for 3 slices from' in message and ', ...; download the CT archives from http' in message
    assert 'ct_lesion_seg/mask/1/3.png, ct_lesion_seg/image/2/8.jpg, Normal/1/10/0000.png or .jpg, ...' in message
    assert snapshot(root) == {}
    with pytest.raises(FileNotFoundError, match='3 files are missing'):
        convert_cncb_ncov(root, parts=['slices'])
    convert_cncb_ncov(root, parts=['slices'], check_files=False, skip_statistics=True)
    assert len(read(root, 'slices_test.json')['data_list']) == 3


def test_missing_folders_and_lists(root, tmp_path):
    with pytest.raises(FileNotFoundError, match='the data root .*nowhere is not a folder; download the CT archives'):
        convert_cncb_ncov(tmp_path / 'nowhere')
    (root / 'lists' / 'test_COVIDx_CT-1.txt').unlink()
    with pytest.raises(FileNotFoundError, match='test_COVIDx_CT-1.txt is not in .*lists; get it from .*COVIDNet-CT'):
        convert_cncb_ncov(root)
    with pytest.raises(FileNotFoundError, match='the list .*mine.txt does not exist'):
        convert_cncb_ncov(root, lists=dict(test=tmp_path / 'mine.txt'))


def test_invalid_masks_stop_the_conversion(root):
    mask = root / 'ct_lesion_seg/mask/0/5.png'
    cv2.imwrite(str(mask), np.full((40, 44), 7, np.uint8))
    with pytest.raises(ValueError, match=f'the mask {re.escape(str(mask))} has the values 7'):
        convert_cncb_ncov(root)
    cv2.imwrite(str(mask), np.ones((40, 40), np.uint8))
    with pytest.raises(ValueError, match='0/5.png is 40 x 40 pixels, but its image .*0/5.jpg is 44 x 40'):
        convert_cncb_ncov(root)
    assert snapshot(root) == {}


def test_patients_in_two_splits_are_reported(root, caplog):
    write_cncb_lists(root / 'lists', test=CNCB_TEST + CNCB_VAL + CNCB_TRAIN[:1], lesions_test=['0_17', '2_8'])
    summary = convert_cncb_ncov(root)
    assert summary.warnings[0].startswith('3 patients are in both slices_train and slices_train_left_out (1, 2, 3): ')
    assert any(
        text.startswith('1 patient is in both the training list and slices_test (1)')
        for text in caplog.messages
        for text in [text.removeprefix('warning: ')]
    )
    assert any('2 patients are in both slices_val and slices_test (4, 5)' in text for text in summary.warnings)
    assert any('1 patient is in both lesions_train and lesions_test (ct_lesion_seg/0)' in text for text in summary.warnings)


def test_stale_statistics_are_reported(root):
    convert_cncb_ncov(root)
    summary = convert_cncb_ncov(root, skip_statistics=True)
    assert any('statistics.json is from an earlier run' in text for text in summary.warnings)


@pytest.mark.parametrize('target', ['replace', 'fsync'])
def test_interruption_while_writing_leaves_no_partial_file(root, monkeypatch, target):
    calls = []
    original = getattr(os, target)

    def interrupted(*args):
        calls.append(args)
        if len(calls) == (1 if target == 'replace' else 4):
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(os, target, interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_cncb_ncov(root)
    assert snapshot(root) == {}


def test_interruption_before_writing_keeps_the_last_result(root, monkeypatch):
    convert_cncb_ncov(root)
    before = snapshot(root)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, 'grey_level_statistics', interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_cncb_ncov(root, keep_classes_apart=True)
    assert snapshot(root) == before


def test_real_lists(shared_dir, tmp_path):
    data = shared_dir / 'data'
    summary = convert_cncb_ncov(
        tmp_path,
        list_folders=[data / 'covidx_ct_v1', data / 'published_splits'],
        parts=['slices'],
        check_files=False,
        skip_statistics=True,
    )
    counts = {(row['split'], row['class']): row['slices'] for row in summary.slices}
    names = ('Normal', 'CP', 'COVID-19', 'all')
    assert [counts['slices_train', name] for name in names] == [1000, 1000, 1000, 3000]
    assert [counts['slices_train_left_out', name] for name in names] == [26201, 21061, 11520, 58782]
    assert [counts['slices_val', name] for name in names] == [9107, 7400, 4529, 21036]
    assert [counts['slices_test', name] for name in names] == [9450, 7395, 4346, 21191]
    # The published splits are by patient; only the author's sample shares patients with the rest of its list.
    assert len(summary.warnings) == 1 and summary.warnings[0].startswith(
        '606 patients are in both slices_train and slices_train_left_out'
    )
    train = {row['img_path'] for row in read(tmp_path, 'slices_train.json')['data_list']}
    assert len(train) == 3000
    assert not train & {row['img_path'] for row in read(tmp_path, 'slices_train_left_out.json')['data_list']}


def test_author_slices_are_in_version_1_of_covidx_ct(shared_dir, tmp_path):
    """All 3000 are in its training list, so the flat download suffices for the paper's configs."""
    data = shared_dir / 'data'
    images = tmp_path / '1_images'
    images.mkdir()
    for split in ('train', 'val', 'test'):
        for line in (data / f'covidx_ct_v1/{split}_COVIDx_CT-1.txt').read_text().splitlines():
            (images / line.split()[0]).touch()  # stand-in for the image: only names matter here
    convert_cncb_ncov(
        tmp_path, list_folders=[data / 'covidx_ct_v1', data / 'published_splits'], parts=['slices'], skip_statistics=True
    )
    published = (data / 'published_splits/train_split_classification.txt').read_text().split()
    expected = [f'1_images/{("Normal", "CP", "NCP")[int(name[0])]}{name[1:]}' for name in published]
    assert [row['img_path'] for row in read(tmp_path, 'slices_train.json')['data_list']] == expected and len(expected) == 3000
