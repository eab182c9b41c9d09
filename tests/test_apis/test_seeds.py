"""A series of seeds as a user runs it: trained, completed, kept apart from other configs."""

import json

import pytest
from run_helpers import write_small_config

from mmaffinity.apis.seeds import spread_of_seeds, train_seeds

pytestmark = pytest.mark.slow


def test_a_series_is_trained_and_completed(repo_root, tiny_phantom, tmp_path):
    config = write_small_config(
        repo_root,
        tiny_phantom / 'cncb_ncov',
        tmp_path / 'small.py',
        **{'train_cfg.max_epochs': 1, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None},
    )
    said, root = [], tmp_path / 'runs'
    found = train_seeds(config, (0, 3), root, progress=said.append)
    assert list(found) == [0, 3] and said == [
        f'seed 0: training in {root}/seed_0',
        'seed 0: finished',
        f'seed 3: training in {root}/seed_3',
        'seed 3: finished',
    ]
    results = [json.loads((root / f'seed_{seed}/results.json').read_text()) for seed in (0, 3)]
    assert results[0]['checkpoint_sha256'] != results[1]['checkpoint_sha256']
    assert results[0]['config_sha256'] == results[1]['config_sha256']
    assert found[3] == results[1]['metrics'] and len(spread_of_seeds(found)['slice/f1']) == 2

    said.clear()
    assert train_seeds(config, (3, 0), root, progress=said.append) == found
    assert said == ['seed 3: finished before', 'seed 0: finished before']
    with pytest.raises(ValueError, match='runs holds runs of another config'):
        train_seeds(config, (0,), root, dict(image_size=(96, 96)))
    (root / 'seeds.json').write_text('{')
    with pytest.raises(ValueError, match='seeds.json is damaged'):
        train_seeds(config, (0,), root)


def test_a_run_that_fails_is_named_and_the_others_are_kept(repo_root, tiny_phantom, tmp_path):
    config = write_small_config(repo_root, tiny_phantom / 'cncb_ncov', tmp_path / 'small.py', load_from='/no/such.pth')
    with pytest.raises(ValueError, match=r'1 of 1 runs failed: seed 7 \(exit code 2, .*seed_7\)'):
        train_seeds(config, (7,), tmp_path / 'runs')


@pytest.mark.parametrize('seeds', [(), (1, 1), (-1,), (2**32,)])
def test_bad_seeds(repo_root, seeds, tmp_path):
    with pytest.raises(ValueError, match='seeds must be different numbers'):
        train_seeds(repo_root / 'configs/affinity_c8_phantom.py', seeds, tmp_path)


def test_wrong_use(repo_root, tmp_path):
    with pytest.raises(ValueError, match='devices is empty'):
        train_seeds(repo_root / 'configs/affinity_c8_phantom.py', (0,), tmp_path, devices=())
    with pytest.raises(ValueError, match='no test_dataloader'):
        train_seeds(repo_root / 'configs/affinity_c8_phantom.py', (0,), tmp_path, dict(test_dataloader=None))


def test_metrics_that_a_seed_lacks_have_no_spread():
    assert spread_of_seeds({0: {'f1': 0.5, 'ap': None}, 1: {'f1': 0.75, 'ap': 0.1}}) == {'f1': [0.5, 0.75]}
