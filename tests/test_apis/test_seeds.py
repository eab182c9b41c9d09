"""A series of seeds: trained, completed, and separated from other configs."""

import json

import pytest
from plan_helpers import fork_commands
from run_helpers import write_small_config

from mmaffinity.apis.plans import local
from mmaffinity.apis.seeds import spread_of_seeds, train_seeds

pytestmark = pytest.mark.slow


def test_a_series_is_trained_and_completed(repo_root, tiny_phantom, tmp_path, monkeypatch):
    fork_commands(monkeypatch)
    config = write_small_config(
        repo_root,
        tiny_phantom / 'cncb_ncov',
        tmp_path / 'small.py',
        **{'train_cfg.max_epochs': 1, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None},
    )
    said, root = [], tmp_path / 'runs'
    found = train_seeds(config, (0, 3), root, progress=said.append)
    assert list(found) == [0, 3] and said[0] == '0 of 2 runs are done'
    assert [line for line in said if 'seed' in line] == [
        f'seed_0: started, log in {root}/seed_0/log.txt',
        'seed_0: done',
        f'seed_3: started, log in {root}/seed_3/log.txt',
        'seed_3: done',
    ]
    results = [json.loads((root / f'seed_{seed}/results.json').read_text()) for seed in (0, 3)]
    assert results[0]['checkpoint_sha256'] != results[1]['checkpoint_sha256']
    assert results[0]['config_sha256'] == results[1]['config_sha256']
    assert found[3] == results[1]['metrics'] and len(spread_of_seeds(found)['slice/f1']) == 2

    said.clear()
    assert train_seeds(config, (3, 0), root, progress=said.append) == found
    assert said == ['2 of 2 runs are done']
    with pytest.raises(ValueError, match='the config of seed_0 has changed since .*seed_0 was started .*image_size'):
        train_seeds(config, (0,), root, dict(image_size=(96, 96)))
    with pytest.raises(ValueError, match='runs belongs to the plan "small with several seeds"'):
        train_seeds(config.rename(tmp_path / 'other.py'), (0,), root)
    (root / 'plan.json').write_text('{')
    with pytest.raises(ValueError, match='plan.json is damaged'):
        train_seeds(tmp_path / 'other.py', (0,), root)


def test_failed_run_is_named_and_others_are_kept(repo_root, tiny_phantom, tmp_path, monkeypatch):
    fork_commands(monkeypatch)
    config = write_small_config(repo_root, tiny_phantom / 'cncb_ncov', tmp_path / 'small.py', load_from='/no/such.pth')
    with pytest.raises(
        ValueError, match=r'1 of 1 runs failed: seed_7: train failed \(exit code 2\), see .*seed_7/log.txt: error: .*such.pth'
    ):
        train_seeds(config, (7,), tmp_path / 'runs')


@pytest.mark.parametrize('seeds', [(), (1, 1), (-1,), (2**32,)])
def test_invalid_seeds(repo_root, seeds, tmp_path):
    with pytest.raises(ValueError, match='seeds must be distinct numbers from 0 to 4294967295'):
        train_seeds(repo_root / 'configs/affinity_c8_phantom.py', seeds, tmp_path)


def test_a_config_without_test_data(repo_root, tmp_path):
    with pytest.raises(ValueError, match='no test_dataloader'):
        train_seeds(repo_root / 'configs/affinity_c8_phantom.py', (0,), tmp_path, dict(test_dataloader=None))


def test_each_gpu_runs_one_training_at_a_time(repo_root, tmp_path, monkeypatch):
    environments = []

    def call(step, log, environment):
        environments.append((step.kind, environment['CUDA_VISIBLE_DEVICES']))
        step.makes.parent.mkdir(parents=True, exist_ok=True)
        step.makes.write_text('{"metrics": {}}')
        return 0

    monkeypatch.setattr(local, '_call', call)
    found = train_seeds(repo_root / 'configs/affinity_c8_phantom.py', (4, 5), tmp_path / 'runs', gpus=('2', '5'))
    assert found == {4: {}, 5: {}}
    assert sorted(environments) == [('test', '2'), ('test', '5'), ('train', '2'), ('train', '5')]


def test_metrics_missing_for_a_seed_have_no_spread():
    assert spread_of_seeds({0: {'f1': 0.5, 'ap': None}, 1: {'f1': 0.75, 'ap': 0.1}}) == {'f1': [0.5, 0.75]}
