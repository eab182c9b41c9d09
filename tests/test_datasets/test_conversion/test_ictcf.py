import json
import os
import re

import pytest
from conversion_helpers import ICTCF_TEST, ICTCF_TRAIN, write_ictcf

from mmaffinity.datasets.conversion import convert_ictcf


@pytest.fixture
def root(tmp_path):
    return write_ictcf(tmp_path / 'ictcf')


def read(root, name):
    return json.loads((root / 'annotations' / name).read_text())


def names(root):
    folder = root / 'annotations'
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_output_files(root):
    summary = convert_ictcf(root)
    assert names(root) == {'slices_train.json', 'slices_test.json', 'statistics.json'}
    train = read(root, 'slices_train.json')
    assert train['metainfo']['slice_classes'] == ['Negative', 'COVID-19']
    assert train['data_list'] == [
        dict(img_path='pCT/pCT5.jpg', label=1, patient_id=None, scan_id=None),
        dict(img_path='nCT/nCT7.jpg', label=0, patient_id=None, scan_id=None),
        dict(img_path='nCT/nCT8.jpg', label=0, patient_id=None, scan_id=None),
    ]
    statistics = read(root, 'statistics.json')
    assert statistics['mean'] == pytest.approx(40 / 255) and statistics['num_slices'] == 3
    assert any('a patient may be in both training and test' in text for text in summary.warnings)
    assert re.search(r'slices_train +Negative +2 +unknown +unknown +unknown', summary.table())


def test_files_without_the_folder_in_their_name(root):
    (root / 'nCT' / 'nCT7.jpg').rename(root / 'nCT' / '7.jpg')
    convert_ictcf(root)
    assert read(root, 'slices_train.json')['data_list'][1]['img_path'] == 'nCT/7.jpg'


def test_conversion_is_reproducible(root):
    convert_ictcf(root)
    first = {name: (root / 'annotations' / name).read_bytes() for name in names(root)}
    convert_ictcf(root)
    assert {name: (root / 'annotations' / name).read_bytes() for name in names(root)} == first


def test_shared_slices_and_stale_statistics_are_reported(root):
    convert_ictcf(root)
    (root / 'lists' / 'test_ictcf.txt').write_text('\n'.join(ICTCF_TEST + ICTCF_TRAIN[:1]))
    summary = convert_ictcf(root, skip_statistics=True)
    assert summary.warnings[0] == '1 slice is in both the training and the test list (pCT5)'
    assert any('statistics.json is from an earlier run' in text for text in summary.warnings)


def test_missing_data(root, tmp_path):
    with pytest.raises(FileNotFoundError, match='the data root .*nowhere is not a folder; download'):
        convert_ictcf(tmp_path / 'nowhere')
    (root / 'nCT' / 'nCT70.jpg').unlink()
    with pytest.raises(FileNotFoundError) as info:
        convert_ictcf(root)
    assert str(info.value).startswith(
        f'1 file is missing under {root} (1 for 2 slices from '
        f'{root}/lists/test_ictcf.txt): nCT/nCT70.jpg; '
        'download the labelled CT slices from http://ictcf'
    )
    assert names(root) == set()
    convert_ictcf(root, check_files=False)
    assert read(root, 'slices_test.json')['data_list'][0]['img_path'] == 'nCT/nCT70.jpg'
    (root / 'lists' / 'train_ictcf.txt').unlink()
    with pytest.raises(FileNotFoundError, match='the list train_ictcf.txt is not in .*; get it from https'):
        convert_ictcf(root)
    with pytest.raises(FileNotFoundError, match='the list .*mine.txt does not exist'):
        convert_ictcf(root, lists=dict(train=root / 'mine.txt'))


def test_interruption_leaves_no_files(root, monkeypatch):

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_ictcf(root)
    assert names(root) == set()


def test_real_lists(shared_dir, tmp_path):
    summary = convert_ictcf(
        tmp_path, list_folders=[shared_dir / 'data' / 'published_splits'], check_files=False, skip_statistics=True
    )
    counts = {(row['split'], row['class']): row['slices'] for row in summary.slices}
    assert [counts['slices_train', name] for name in ('Negative', 'COVID-19', 'all')] == [300, 300, 600]
    assert [counts['slices_test', name] for name in ('Negative', 'COVID-19', 'all')] == [9275, 3701, 12976]
    assert len(summary.warnings) == 1  # no slice is in both
