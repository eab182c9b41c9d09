"""Whether what a config's data sets list is there, asked before a run is built."""

import pytest

from mmaffinity.datasets import check_sources


def folders(root, *classes):
    return dict(type='SliceFolderDataset', data_root=str(root), slice_classes=classes)


def listed(root, kind='SliceDataset', **extra):
    return dict(type=kind, data_root=str(root), ann_file='list.json', **extra)


@pytest.fixture
def root(tmp_path):
    for name in ('full', 'empty'):
        (tmp_path / name).mkdir()
    (tmp_path / 'full/a.png').touch()
    return tmp_path


def test_nothing_is_read(root):
    """Neither lists nor slices: they may be long, and have their own errors."""
    (root / 'list.json').write_text('not JSON')
    (root / 'statistics').mkdir()
    check_sources(dict(type='MultiTaskDataset', datasets=[listed(root), listed(root, 'LesionDataset'), folders(root, 'full')]))
    check_sources(dict(type='RepeatDataset', times=2, dataset=listed(root)))
    check_sources(None)
    check_sources(dict(type='OfAnotherPackage', path='nowhere'))


@pytest.mark.parametrize('kind', ['SliceDataset', 'LesionDataset'])
def test_missing_lists(kind, root):
    missing = listed(root, kind)
    for config in (missing, dict(type='MultiTaskDataset', datasets=[folders(root, 'full'), missing])):
        with pytest.raises(FileNotFoundError, match='file with .* not found: .*list.json'):
            check_sources(config)
    with pytest.raises(FileNotFoundError, match='data root .*nowhere does not exist'):
        check_sources(listed(root / 'nowhere', kind))


def test_folders_of_classes(root):
    with pytest.raises(FileNotFoundError, match='no such folder of slices: .*other'):
        check_sources(folders(root, 'full', 'other'))
    with pytest.raises(ValueError, match='folder .*empty holds no image'):
        check_sources(folders(root, 'full', 'empty'))
    (root / 'empty/._a.png').touch()
    with pytest.raises(ValueError, match='folder .*empty holds no image'):
        check_sources(folders(root, 'empty'))


def test_a_run_ends_before_it_begins(repo_root, tmp_path, capfd):
    """No work folder, no log: one sentence."""
    from mmaffinity.apis import test_model, train_model
    from mmaffinity.utils.config import load_config

    config = load_config(repo_root / 'configs/affinity_c8.py', dict(data_root=str(tmp_path / 'nowhere')))
    with pytest.raises(FileNotFoundError, match='data root .*nowhere does not exist'):
        train_model(config, work_dir=tmp_path / 'work')
    (tmp_path / 'epoch_1.pth').touch()
    with pytest.raises(FileNotFoundError, match='data root .*nowhere does not exist'):
        test_model(config, tmp_path / 'epoch_1.pth', work_dir=tmp_path / 'work')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint .*epoch_2.pth; in .* there are epoch_1.pth$'):
        test_model(config, tmp_path / 'epoch_2.pth', work_dir=tmp_path / 'work')
    with pytest.raises(FileNotFoundError, match='train the model first: mmaffinity train .*affinity_c8.py'):
        test_model(config, tmp_path / 'away/epoch_2.pth', work_dir=tmp_path / 'work')
    assert not (tmp_path / 'work').exists()
    said = capfd.readouterr()
    assert len((said.out + said.err).splitlines()) < 5
