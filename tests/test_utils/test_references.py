"""References in a config, resolved when data sets are built."""

from pathlib import Path

from mmaffinity.utils.config import load_config


def test_home_folder_in_data_root(monkeypatch):
    """The shell does not expand ~ after data_root=; all data sets and the lists of all folds are in the home folder."""
    monkeypatch.setenv('HOME', '/home/someone')
    config = load_config('affinity_c8', {'data_root': '~/ct', 'folds': 2})
    lesions, slices = config.train_dataloader.dataset.datasets
    assert lesions.data_root == slices.data_root == '/home/someone/ct'
    assert {str(Path(path).parents[1]) for path in slices.fold_lists} == {'/home/someone/ct'}
