"""The effect of each optimisation, on a narrow model."""

import functools

import pytest
import torch
from model_helpers import FAST, build_model

from mmaffinity.apis.ablation import ABLATIONS, TRAINING, ablate


@pytest.fixture(scope='module')
def config(repo_root):
    return repo_root / 'configs' / 'affinity_c8.py'


def test_ablation_alternates_timings_and_compares_results(config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, 'compile', functools.partial(torch.compile, backend='eager'))
    # Scores are spread, so that no rank depends on the last bit.
    torch.save({'state_dict': build_model().state_dict()}, tmp_path / 'model.pth')
    rows = ablate(
        config,
        tmp_path / 'model.pth',
        jobs=('both', 'detection'),
        batch_size=2,
        objects=3,
        runs=1,
        warmup=0,
        num_threads=1,
        overrides=FAST,
    )
    assert [(row['change'], row['job']) for row in rows] == [
        (name, job) for name in ('as configured', *ABLATIONS) if name not in TRAINING for job in ('both', 'detection')
    ]
    drift = {row['change']: row['probability_drift'] for row in rows if row['job'] == 'both'}
    for row in rows:
        assert row['seconds'] > 0 and row['ratio'] > 0
        assert (row['logit_drift'] is None) == (row['job'] == 'detection')
    assert drift['as configured'] == 0 < drift['bfloat16'] <= 1  # it may change the rank of RoIs
    exact = [value for name, value in drift.items() if name not in ('bfloat16', 'float16')]
    assert max(exact) < 1e-4, drift


def test_ablation_of_training(config):
    rows = ablate(config, changes=TRAINING, jobs=['train'], objects=3, runs=1, warmup=0, num_threads=1, overrides=FAST)
    assert [row['change'] for row in rows] == ['as configured', 'Adam, not fused', 'Adam, foreach']
    assert all(row['seconds'] > 0 and row['logit_drift'] is None for row in rows)


def test_invalid_arguments(config):
    with pytest.raises(ValueError, match='unknown: no RPN, data; the changes are .*; the jobs are .*, train$'):
        ablate(config, changes=['no RPN'], jobs=['data'])
    with pytest.raises(ValueError, match='runs must be at least 1, not 0'):
        ablate(config, runs=0)
