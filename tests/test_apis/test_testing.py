"""Testing a model: the tested split, and the record of the fold in the results."""

import pytest

from mmaffinity.apis.testing import fold_of, use_split
from mmaffinity.utils.config import load_config


def test_folds_of_an_experiment_share_a_hash(repo_root):
    path = repo_root / 'configs/affinity_c8_phantom.py'
    assert fold_of(load_config(path)) is None
    first, second = (fold_of(load_config(path, dict(folds=5, fold=fold))) for fold in (0, 3))
    assert (second['index'], second['of']) == (3, 5) and first['config_sha256'] == second['config_sha256']
    other = fold_of(load_config(path, dict(folds=5, fold=3, image_size=(64, 64))))
    assert other['config_sha256'] != first['config_sha256']
    assert fold_of(load_config(path, dict(folds=4, fold=3)))['config_sha256'] != first['config_sha256']


@pytest.mark.parametrize('fold', [0, 2])
def test_class_folders_have_folds(fold, repo_root):
    config = load_config(repo_root / 'configs/baselines/resnet18_slice.py', dict(folds=3, fold=fold))
    assert fold_of(config)['index'] == fold
    assert config.train_dataloader.dataset.fold == fold and config.val_dataloader is None


def test_split(repo_root):
    config = load_config(repo_root / 'configs' / 'affinity_c8.py')
    use_split(config, 'val')
    assert config.test_dataloader.dataset.ann_file == 'annotations/slices_val.json' and config.test_split == 'val'
    with pytest.raises(ValueError, match='no validation split'):
        use_split(load_config(repo_root / 'configs' / 'affinity_c8_ictcf.py'), 'val')
    with pytest.raises(ValueError, match="not 'train'"):
        use_split(config, 'train')
