"""Code shared by converters of downloads: finding lists, and protecting existing ones."""

import json

import pytest

from mmaffinity.datasets.conversion.downloads import Download


def download(root, dataset='mine', **options):
    return Download(dataset, root, ('a', 'b'), 'download it', ['train', 'test'], **options)


def test_lists_come_from_the_first_folder_that_has_them(tmp_path):
    first, second = tmp_path / 'first', tmp_path / 'second'
    second.mkdir()
    root = download(tmp_path, list_folders=[first, second], lists=dict(test='given.txt'))
    with pytest.raises(FileNotFoundError, match='the list a.txt is not in .*first or .*second; get it from the author'):
        root.find_list('train', 'a.txt', 'the author')
    (second / 'a.txt').write_text('x')
    assert root.find_list('train', 'a.txt', 'the author') == second / 'a.txt'
    assert root.find_list('test', 'a.txt', 'the author').name == 'given.txt'
    with pytest.raises(ValueError, match=r"cannot convert the lists \['val'\]; choose from train, test"):
        download(tmp_path, lists=dict(val='given.txt'))
    for folder in (tmp_path, tmp_path / 'lists'):
        folder.mkdir(exist_ok=True)
        (folder / 'b.txt').write_text('x')
        assert download(tmp_path).find_list('train', 'b.txt', 'the author') == folder / 'b.txt'
        (folder / 'b.txt').unlink()


def test_lists_of_another_data_set(tmp_path):
    download(tmp_path).refuse_other_lists()
    folder = tmp_path / 'annotations'
    folder.mkdir()
    for name, content in (
        ('slices_a.json', '{"metainfo"'),
        ('slices_b.json', '[1]'),
        ('slices_c.json', '{"metainfo": {}}'),
        ('slices_d.json', json.dumps(dict(metainfo=dict(dataset='mine')))),
        ('lesions_a.json', json.dumps(dict(metainfo=dict(dataset='other')))),
    ):
        (folder / name).write_text(content)
    download(tmp_path).refuse_other_lists()
    with pytest.raises(ValueError, match='slices_d.json belongs to mine, and converting other would replace it; move .* away'):
        download(tmp_path, 'other').refuse_other_lists()
