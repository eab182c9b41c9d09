"""References in a config, resolved when data sets are built."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmaffinity.utils.config import load_config
from mmaffinity.utils.references import refuse_references, resolve_dataloaders, resolve_references


def test_home_folder_in_data_root(monkeypatch):
    """The shell does not expand ~ after data_root=; all data sets and the lists of all folds are in the home folder."""
    monkeypatch.setenv('HOME', '/home/someone')
    config = load_config('affinity_c8', {'data_root': '~/ct', 'folds': 2})
    lesions, slices = config.train_dataloader.dataset.datasets
    assert lesions.data_root == slices.data_root == '/home/someone/ct'
    assert {str(Path(path).parents[1]) for path in slices.fold_lists} == {'/home/someone/ct'}


def test_reference_to_an_unknown_field(repo_root, tmp_path):
    (tmp_path / 'child.py').write_text(
        f"_base_ = '{repo_root}/configs/affinity_c8.py'\nval_dataloader = dict(dataset=dict(data_root='${{my_root}}'))\n"
    )
    with pytest.raises(ValueError, match=r'\$\{my_root\} refers to the field my_root, which the config does not have'):
        load_config(tmp_path / 'child.py')


def test_circular_reference(repo_root, tmp_path):
    (tmp_path / 'child.py').write_text(f"_base_ = '{repo_root}/configs/affinity_c8.py'\ndata_root = '${{lesion_root}}'\n")
    with pytest.raises(ValueError, match='the field .* refers to itself: .*lesion_root -> data_root'):
        load_config(tmp_path / 'child.py')


def test_lesions_can_have_another_root(repo_root, tmp_path):
    """With one field; by default they share the root of the labelled slices."""
    (tmp_path / 'child.py').write_text(f"_base_ = '{repo_root}/configs/affinity_c8.py'\ndata_root = 'a'\nlesion_root = 'b'\n")
    (tmp_path / 'plain.py').write_text(f"_base_ = '{repo_root}/configs/affinity_c8.py'\ndata_root = 'a'\n")
    for name, roots in (('child', ['b', 'a']), ('plain', ['a', 'a'])):
        config = load_config(tmp_path / f'{name}.py')
        for loader in (config.train_dataloader, config.test_dataloader):
            assert [leaf.data_root for leaf in loader.dataset.datasets] == roots


def test_lesion_classes_are_those_of_every_lesion_data_set(repo_root, tmp_path):
    (tmp_path / 'child.py').write_text(
        f"_base_ = '{repo_root}/configs/mmdet/affinity_mask-rcnn_r50_fpn.py'\nlesion_classes = ['disc', 'square']\n"
    )
    config = load_config(tmp_path / 'child.py')
    for loader in (config.train_dataloader, config.test_dataloader):
        lesions, slices = loader.dataset.datasets
        assert lesions.metainfo == dict(classes=('disc', 'square')) and 'metainfo' not in slices
    assert 'metainfo' not in config.val_dataloader.dataset
    # A data set can have other classes; the default is one class.
    config = load_config(tmp_path / 'child.py', {'train_dataloader.dataset.datasets.0.metainfo': dict(classes=('a',))})
    assert config.train_dataloader.dataset.datasets[0].metainfo == dict(classes=('a',))
    assert load_config(repo_root / 'configs/affinity_c8.py').train_dataloader.dataset.datasets[0].metainfo.classes == (
        'lesion',
    )
    with pytest.raises(ValueError, match='lesion_classes is .disc., not a list of names'):
        load_config(tmp_path / 'child.py', {'lesion_classes': 'disc'})


def test_references_are_replaced_at_any_depth():
    fields = Config(dict(root='/data', lists=['${root}', 'b'], size=(64, 64), nested='${size}'))
    value = dict(a=['${root}', dict(b='${nested}')], c=('x ${root}', 3), d='${lists}')
    found = resolve_references(value, fields)
    # A list of a field becomes a tuple; a reference is a whole text, not a part of one.
    assert found == dict(a=['/data', dict(b=(64, 64))], c=('x ${root}', 3), d=('/data', 'b'))
    assert value['a'] == ['${root}', dict(b='${nested}')]


def test_an_unresolved_reference_is_rejected_with_its_remedy():
    refuse_references(data_root='/data/${root}', ann_file=None, folds=5)
    with pytest.raises(
        ValueError, match=r'ann_file is the unresolved reference \$\{list\}: use SliceTrainLoop, .*resolve_dataloaders'
    ):
        refuse_references(data_root='/data', ann_file='${list}')


def test_folds_divide_all_lists_jointly_and_replace_the_validation():
    """Lesion and slice lists share patients, so each part knows all lists; its own settings take precedence."""
    lesions = dict(data_root='/d', ann_file='lesions.json')
    slices = dict(data_root='/d', ann_file='slices.json', fold=2)
    config = Config(
        dict(
            folds=3,
            train_dataloader=dict(dataset=dict(datasets=[lesions, slices])),
            test_dataloader=dict(dataset=dict(dataset=dict(data_root='${root}', ann_file='test.json'))),
            val_dataloader=dict(dataset=dict(ann_file='val.json')),
            root='/e',
        )
    )
    resolve_dataloaders(config)
    assert config.val_dataloader is config.val_evaluator is config.val_cfg is None
    leaves = [*config.train_dataloader.dataset.datasets, config.test_dataloader.dataset.dataset]
    assert [(leaf.folds, leaf.fold) for leaf in leaves] == [(3, 0), (3, 2), (3, 0)]
    assert {tuple(leaf.fold_lists) for leaf in leaves} == {('/d/lesions.json', '/d/slices.json', '/e/test.json')}
