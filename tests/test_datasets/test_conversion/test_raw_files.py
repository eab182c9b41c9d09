from mmaffinity.datasets.conversion.raw_files import RawFiles


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
