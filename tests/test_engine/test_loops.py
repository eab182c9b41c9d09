"""The loops that build a config's data sets: references and folds mean the same to MMEngine's runner."""

import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner

from mmaffinity.utils.config import load_config
from mmaffinity.utils.nested_datasets import leaf_configs


def test_inheriting_config_can_change_the_data(repo_root, tiny_phantom, tmp_path):
    """With the file alone, for MMEngine and for the commands."""
    root = tiny_phantom / 'cncb_ncov'
    (tmp_path / 'child.py').write_text(
        f"_base_ = '{repo_root}/configs/affinity_c8.py'\n"
        f'data_root = {str(root)!r}\nimage_size = (96, 64)\nwork_dir = {str(tmp_path)!r}\n'
        'val_dataloader = dict(dataset=dict(samples_per_class=None))\n'
        'model = dict(backbone=dict(base_channels=8), neck=dict(in_channels=[32]))\n'
    )
    config = Config.fromfile(tmp_path / 'child.py')
    config.log_level = 'ERROR'
    runner = Runner.from_cfg(config)
    for dataset in (
        runner.train_loop.dataloader.dataset,
        runner.val_loop.dataloader.dataset,
        runner.test_loop.dataloader.dataset,
    ):
        for leaf in getattr(dataset, 'datasets', [dataset]):
            assert leaf.data_root == str(root) and leaf[0]['inputs'].shape[-2:] == (64, 96)
    for name, loader in load_config(tmp_path / 'child.py').items():
        assert not name.endswith('_dataloader') or {leaf.data_root for leaf in leaf_configs(loader.dataset)} == {str(root)}


def test_folds_mean_the_same_to_the_runner(repo_root, tiny_phantom, tmp_path):
    (tmp_path / 'folds.py').write_text(
        f"_base_ = '{repo_root}/configs/affinity_c8.py'\nfolds = 3\nfold = 1\n"
        f'data_root = {str(tiny_phantom / "cncb_ncov")!r}\nwork_dir = {str(tmp_path)!r}\n'
        'model = dict(backbone=dict(base_channels=8), neck=dict(in_channels=[32]))\n'
    )
    runner = Runner.from_cfg(Config.fromfile(tmp_path / 'folds.py'))
    config = load_config(tmp_path / 'folds.py')
    for loop, loader in ((runner.train_loop, config.train_dataloader), (runner.test_loop, config.test_dataloader)):
        theirs, ours = loop.dataloader.dataset, DATASETS.build(loader.dataset)
        paths = [[dataset.get_data_info(i)['img_path'] for i in range(len(dataset))] for dataset in (theirs, ours)]
        assert paths[0] == paths[1]
        assert all(leaf.folds == 3 for leaf in leaf_configs(loader.dataset))
    assert runner.val_loop is None and config.val_dataloader is None


def test_unresolved_references_are_reported(repo_root, tmp_path):
    config = Config.fromfile(repo_root / 'configs/baselines/resnet18_slice_phantom.py')
    config.merge_from_dict({'train_cfg.type': 'EpochBasedTrainLoop', 'work_dir': str(tmp_path), 'log_level': 'ERROR'})
    with pytest.raises(ValueError, match=r'slice_classes is the unresolved reference \$\{slice_classes\}: use SliceTrainLoop'):
        Runner.from_cfg(config).train()
