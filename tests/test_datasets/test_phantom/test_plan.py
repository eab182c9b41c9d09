"""The slices of a phantom: lists of real formats, patients in one split each, invalid settings."""

import re
from collections import defaultdict

import pytest
from phantom_helpers import SMALL, rows

from mmaffinity.datasets.phantom.plan import LISTS, PhantomSettings, plan_phantom
from mmaffinity.datasets.phantom.writer import write_phantom


def test_lists_have_the_real_formats(phantom):
    folder, _ = phantom
    patterns = {
        'lesions': r'\d+_\d+\.jpg',
        'slices': r'(NCP|CP|Normal)_\d+_\d+_\d{4}\.png [012] \d+ \d+ \d+ \d+',
        'slices_selected': r'[012]_\d+_\d+_\d{4}\.png',
        'ictcf': r'(0_nCT|2_pCT)\d+\.jpg',
    }
    for split in LISTS:
        lines = rows(folder, split)
        assert len(lines) == len(set(lines)) == SMALL[split]
        pattern = patterns.get(split, patterns[split.split('_')[0]])
        assert all(re.fullmatch(pattern, line) for line in lines), split


def test_lists_match_the_real_ones(phantom, shared_dir):
    """The same shape of row as the published lists: digits become 0, class words stay."""
    folder, _ = phantom

    def shapes(lines):
        return {re.sub(r'\d+', '0', re.sub(r'^[02](?=_[np]CT)', 'x', line)) for line in lines}

    for split, path in LISTS.items():
        name = path.rsplit('/', 1)[1]
        real = next((shared_dir / 'data').glob(f'*/{name}')).read_text().splitlines()
        assert shapes(rows(folder, split)) == shapes(real), name


def test_training_list_is_a_balanced_subset(phantom):
    folder, _ = phantom
    groups = ('Normal', 'CP', 'NCP')
    selected = [f'{groups[int(line[0])]}{line[1:]}' for line in rows(folder, 'slices_selected')]
    train = {line.split()[0] for line in rows(folder, 'slices_train')}
    assert set(selected) < train
    assert [sum(name.startswith(group + '_') for name in selected) for group in groups] == [4, 4, 4]


def test_patients_are_never_shared_between_splits(phantom):
    folder, summary = phantom
    plan = plan_phantom(PhantomSettings(**SMALL))
    splits = defaultdict(set)
    for row in plan:
        splits[row.number].add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert sum(summary.patients.values()) == len(splits)
    named = defaultdict(set)  # and by the names that the lists give them
    for split in ('slices_train', 'slices_val', 'slices_test', 'lesions_train', 'lesions_test'):
        for line in rows(folder, split):
            named[split.split('_')[0], tuple(line.split('_')[:-1])].add(split)
    assert all(len(found) == 1 for found in named.values())
    per_patient = defaultdict(list)
    for row in plan:
        per_patient[row.number].append(row.level)
    for levels in per_patient.values():
        assert len(levels) <= 3 and len(set(levels)) == len(levels) and max(levels) - min(levels) < 0.1


@pytest.mark.parametrize(
    'wrong',
    [
        dict(size=32),
        dict(seed=-1),
        dict(slices_per_patient=0),
        dict(slices_per_patient=43),
        dict(lesions_test=0),
        dict(slices_val=2),
        dict(slices_selected=10),
        dict(slices_selected=21),
        dict(ictcf_test=1),
        dict(slices_test=9.0),
        dict(covidx_val=-1),
    ],
)
def test_invalid_settings(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        write_phantom(tmp_path / 'x', **{**SMALL, **wrong})
    assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize('per', [1, 20, 42])
def test_any_number_of_slices_per_patient(per):
    plan = plan_phantom(PhantomSettings(**{**SMALL, 'slices_per_patient': per}))
    assert len({row.image for row in plan}) == len(plan) == sum(SMALL[split] for split in LISTS if split != 'slices_selected')
    assert all(0.1 < row.level < 0.9 for row in plan)
