from pathlib import Path

import pytest

from mmaffinity.datasets.annotation_file import LESIONS, SLICES, image_prefix, load_annotation_file


def test_load(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"x": ["ä", 1]}', encoding='utf-8')
    assert load_annotation_file(str(path), str(tmp_path), 'a slice list') == {'x': ['ä', 1]}


def test_missing(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r'slice list not found: .*a\.json\. Correct ann_file or data_root, .*docs/data\.md'
    ):
        load_annotation_file(str(tmp_path / 'a.json'), str(tmp_path), 'a slice list')
    root = tmp_path / 'nowhere'
    with pytest.raises(FileNotFoundError, match=r'data root .*nowhere does not exist: .* data_root=PATH.* CNCB_NCOV_ROOT=PATH'):
        load_annotation_file(str(root / 'a.json'), str(root), 'a slice list')
    with pytest.raises(ValueError, match='set ann_file'):
        load_annotation_file('', str(tmp_path), 'a slice list')


@pytest.mark.parametrize(
    'folders, advice',
    [
        (('NCP', 'CP', 'Normal'), r'Create it with mmaffinity convert cncb-ncov .*root$'),
        (('nCT', 'pCT'), r'Create it with mmaffinity convert ictcf .*root$'),
        (('healthy', 'covid'), r'one folder of images per class needs no list, see SliceFolderDataset'),
    ],
)
def test_advice_matches_the_data(tmp_path, folders, advice):
    root = tmp_path / 'root'
    for folder in folders:
        (root / folder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=advice):
        load_annotation_file(str(root / 'a.json'), str(root), SLICES)
    with pytest.raises(FileNotFoundError) as error:
        load_annotation_file(str(root / 'a.json'), str(root), LESIONS)
    assert 'SliceFolderDataset' not in str(error.value)  # which has no lesions


@pytest.mark.parametrize('content', [b'', b'{"images": [', b'\xff\xfe\x00', b'\x89PNG'])
def test_broken(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.json is not valid JSON'):
        load_annotation_file(str(path), None, 'a slice list')


def test_not_an_object(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('[1]')
    with pytest.raises(ValueError, match='must contain a JSON object with a slice list, not list'):
        load_annotation_file(str(path), None, 'a slice list')


def test_image_prefix():
    assert image_prefix(dict(img='a/'), 'img_path') == dict(img_path='a/')
    assert image_prefix(dict(img_path='a/'), 'img') == dict(img='a/')
    for wrong in (dict(), dict(seg='a'), dict(img='a', seg='b'), dict(img='a', img_path='b')):
        with pytest.raises(ValueError, match='one entry, img'):
            image_prefix(wrong, 'img')


def test_unreadable_folder(tmp_path, monkeypatch):
    def closed(*_, **__):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(Path, 'is_file', closed)
    with pytest.raises(PermissionError, match=r'cannot access .*a\.json \(Permission denied\)'):
        load_annotation_file(str(tmp_path / 'a.json'), str(tmp_path), SLICES)
