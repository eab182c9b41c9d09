from collections import Counter

import pytest

from mmaffinity.datasets.conversion.splits import SplitOptions, each_split, fold_patients, split_patients

PATIENTS = {f'p{number}': 'ill' if number < 14 else 'well' for number in range(20)}


def test_each_class_is_split_by_the_same_shares():
    parts = split_patients(PATIENTS, SplitOptions(val_share=0.1, test_share=0.25))
    counts = Counter((PATIENTS[patient], part) for patient, part in parts.items())
    assert counts == {
        ('ill', 'train'): 9,
        ('ill', 'val'): 1,
        ('ill', 'test'): 4,
        ('well', 'train'): 3,
        ('well', 'val'): 1,
        ('well', 'test'): 2,
    }


def test_splits_depend_only_on_names_and_seed():
    again = dict(sorted(PATIENTS.items(), reverse=True))
    assert split_patients(again, SplitOptions()) == split_patients(PATIENTS, SplitOptions())
    assert fold_patients(again, 4) == fold_patients(PATIENTS, 4)
    others = [split_patients(PATIENTS, SplitOptions(seed=seed)) for seed in range(1, 4)]
    assert any(other != split_patients(PATIENTS, SplitOptions()) for other in others)


def test_folds_are_of_equal_size():
    folds = fold_patients(PATIENTS, 3)
    assert sorted(Counter(folds.values()).values()) == [6, 7, 7]
    assert sorted(Counter(fold for patient, fold in folds.items() if PATIENTS[patient] == 'well').values()) == [2, 2, 2]


def test_patients_stay_in_one_part():
    slices = [(patient, number) for patient in PATIENTS for number in range(3)]
    parts = dict(each_split('slices', slices, lambda slice_: slice_[0], PATIENTS, SplitOptions(folds=4)))
    folds = [tuple(f'fold_{fold}/slices_{part}' for part in ('train', 'test')) for fold in range(4)]
    whole = ('slices_train', 'slices_val', 'slices_test')
    assert list(parts) == [*whole, *(name for names in folds for name in names)]
    for names in (whole, *folds):
        assert sorted(slice_ for name in names for slice_ in parts[name]) == sorted(slices)
        owners = [{patient for patient, _ in parts[name]} for name in names]
        assert sum(map(len, owners)) == len(PATIENTS)
    tested = [slice_ for fold in range(4) for slice_ in parts[f'fold_{fold}/slices_test']]
    assert sorted(tested) == sorted(slices)


def test_parts_without_a_share_are_omitted():
    parts = dict(each_split('slices', [('a', 1)], lambda slice_: slice_[0], {'a': ''}, SplitOptions(val_share=0, test_share=0)))
    assert parts == {'slices_train': [('a', 1)]}


def test_invalid_arguments():
    with pytest.raises(ValueError, match='val_share=0.5 and test_share=0.5 must not be negative'):
        SplitOptions(0.5, 0.5)
    with pytest.raises(ValueError, match='val_share=-0.1'):
        SplitOptions(-0.1)
    with pytest.raises(ValueError, match='folds=1 must be at least 2'):
        SplitOptions(folds=1)
    with pytest.raises(ValueError, match='1 patient is too few for train, val, test: val would be empty; set --val-share'):
        split_patients({'a': ''}, SplitOptions())
    with pytest.raises(ValueError, match='2 patients are too few for 3 folds'):
        fold_patients({'a': '', 'b': ''}, 3)
