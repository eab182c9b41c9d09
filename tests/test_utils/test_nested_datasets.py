"""The innermost data sets of concatenations and wrappers."""

from mmengine.config import Config
from torch.utils.data import ConcatDataset, Subset

from mmaffinity.utils.nested_datasets import leaf_configs, leaf_datasets


def test_leaf_configs_keep_their_order_and_can_be_changed():
    repeated = dict(
        type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[dict(name='b'), dict(name='c')])
    )
    config = Config(dict(dataset=dict(type='MultiTaskDataset', datasets=[dict(name='a'), repeated, dict(name='d')])))
    leaves = list(leaf_configs(config.dataset))
    assert [leaf.name for leaf in leaves] == ['a', 'b', 'c', 'd']
    leaves[2].folds = 5
    assert config.dataset.datasets[1].dataset.datasets[1].folds == 5


def test_a_data_set_without_parts_is_its_own_leaf():
    plain = dict(type='SliceDataset', ann_file='a.json', dataset=None, datasets=[])
    assert list(leaf_configs(plain)) == [plain]
    assert list(leaf_configs(None)) == [] and list(leaf_configs('a name')) == []


def test_leaf_datasets_are_those_that_hold_the_slices():
    a, b, c = [1], [2, 3], [4]
    nested = ConcatDataset([a, Subset(ConcatDataset([b, c]), [0, 2])])
    found = list(leaf_datasets(nested))
    assert len(found) == 3 and all(one is other for one, other in zip(found, (a, b, c)))
    assert list(leaf_datasets(b)) == [b]
