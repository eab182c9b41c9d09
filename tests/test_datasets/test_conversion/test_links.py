"""Slices below a data root, linked or copied."""

import pytest

from mmaffinity.datasets.conversion.links import check_outside, place_slices


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'in/P1').mkdir(parents=True)
    for name in ('P1/a.png', 'P1/b.png'):
        (tmp_path / 'in' / name).write_text(name)
    (tmp_path / 'out').mkdir()
    return tmp_path / 'in'


def test_a_link_leads_to_all_and_survives_a_move(folder, tmp_path):
    place_slices(tmp_path / 'out', 'slices', folder, ['P1/a.png'], copy=False)
    (tmp_path / 'out').rename(tmp_path / 'moved')
    assert (tmp_path / 'moved/slices').is_symlink() and (tmp_path / 'moved/slices/P1/b.png').read_text() == 'P1/b.png'


def test_copies_are_those_of_the_listed_slices(folder, tmp_path):
    place_slices(tmp_path / 'out', 'slices', folder, ['P1/a.png'], copy=True)
    assert not (tmp_path / 'out/slices').is_symlink()
    assert [path.read_text() for path in (tmp_path / 'out/slices/P1').iterdir()] == ['P1/a.png']


def test_without_links_the_error_names_the_way_out(folder, tmp_path, monkeypatch):

    def refused(*args, **keywords):
        raise OSError(1, 'Operation not permitted')

    monkeypatch.setattr('pathlib.Path.symlink_to', refused)
    with pytest.raises(ValueError, match=r'cannot create a link to .*in .*Operation not permitted.*\(--copy\)'):
        place_slices(tmp_path / 'out', 'slices', folder, [], copy=False)


def test_a_result_within_the_slices_is_refused(folder, tmp_path):
    for out in (folder, folder / 'P1/out'):
        with pytest.raises(ValueError, match='is inside the slice folder'):
            check_outside(out, folder)
    check_outside(tmp_path / 'in_2', folder)
    check_outside(tmp_path, folder)
