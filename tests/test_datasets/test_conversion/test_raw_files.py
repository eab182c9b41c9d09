import os

from mmaffinity.datasets.conversion.raw_files import RawFiles, flat_folders


def test_find(tmp_path, monkeypatch):
    (tmp_path / 'a').mkdir()
    for name in ('1.png', '1.jpg', '2.JPG', '3.jpeg', '4.txt', '.png'):
        (tmp_path / 'a' / name).touch()
    files = RawFiles(tmp_path)
    assert files.find('a', '1') == 'a/1.png'
    assert files.find('a', '1', ('.jpg', '.png')) == 'a/1.jpg'
    assert files.find('a', '2') == 'a/2.JPG'
    assert files.find('a', '3') == 'a/3.jpeg'
    assert files.find('a', '4') is None and files.find('a', '') is None
    assert files.find('b', '1') is None
    # Each folder is read once.
    monkeypatch.setattr('os.scandir', None)
    assert files.find('a', '3') == 'a/3.jpeg' and files.find('b', '2') is None


def test_find_in_several_folders(tmp_path):
    for name in ('a/1.png', '2.png', 'b/c/1.png', 'b/c/3.JPG'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = RawFiles(tmp_path)
    assert files.find('', '2') == '2.png' and files.find('', '1') is None
    assert [files.find_in(['', 'a', 'b/c'], name) for name in '1234'] == ['a/1.png', '2.png', 'b/c/3.JPG', None]
    assert files.find_in([], '1') is None


def test_flat_folders(tmp_path):
    """Two levels deep, without folders that are never flat; those of the version first."""
    for name in (
        '2A_images/x.png',
        'archive/3A_images/x.JPEG',
        'archive/a/b/too_deep.png',
        'NCP/1/2/0001.png',
        'notes/x.txt',
        'ct_lesion_seg/image/x.jpg',
        'annotations/x.png',
        '.hidden/x.png',
        'y/x.png',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert flat_folders(tmp_path, '3A') == ['archive/3A_images', '2A_images', 'y']
    assert flat_folders(tmp_path, '2A')[0] == '2A_images'
    (tmp_path / 'z.png').touch()
    assert flat_folders(tmp_path)[0] == ''


def test_unreadable_folder_is_skipped(tmp_path, monkeypatch):
    for name in ('a/1.png', 'lost+found/1.png'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    scandir = os.scandir

    def closed(path):
        if path.name == 'lost+found':
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', closed)  # root, which may run the tests, can enter any folder
    assert flat_folders(tmp_path) == ['a']
