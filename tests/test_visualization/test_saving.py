"""Pictures and figures on disk."""

import os

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmaffinity.visualization.saving import save_figure, save_image, write_atomically


def test_image_round_trips(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = save_image(image, tmp_path / 'new' / 'folder' / 'a.png')
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert os.listdir(path.parent) == ['a.png']


@pytest.mark.parametrize('name, start', [('a.png', b'\x89PNG'), ('a.PDF', b'%PDF')])
def test_figure_format_follows_the_suffix_and_is_reproducible(tmp_path, name, start):
    def make():
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([1, 2])
        return figure

    first = save_figure(make(), tmp_path / name).read_bytes()
    assert first.startswith(start)
    assert save_figure(make(), tmp_path / name).read_bytes() == first


def test_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / 'a.bin', b'old')

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.bin']


def test_misuse_raises_clear_errors(tmp_path):
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match='a.jpg: use the extension .png'):
        save_image(image, tmp_path / 'a.jpg')
    with pytest.raises(ValueError, match='float32'):
        save_image(image.astype(np.float32), tmp_path / 'a.png')
    with pytest.raises(ValueError, match=r'\(4, 4\)'):
        save_image(image[..., 0], tmp_path / 'a.png')
    with pytest.raises(ValueError, match='PNG or PDF'):
        save_figure(Figure(), tmp_path / 'a.svg')
    with pytest.raises(ValueError, match='it is a folder'):
        write_atomically(tmp_path, b'')
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(ValueError, match='one of its parent folders is a file'):
        write_atomically(tmp_path / 'file' / 'deeper' / 'a.png', b'')
