"""Remaining time of a plan."""

import json

import pytest

from mmaffinity.apis.plans.cost import Cost, number_of_steps, training_speed
from mmaffinity.apis.plans.folder import PlanFolder
from mmaffinity.utils.config import load_config

pytestmark = pytest.mark.slow


def test_time_left_counts_only_remaining_steps(two, tmp_path, tiny_phantom):
    folder = PlanFolder(two, tmp_path / 'out')
    cost = Cost(folder, jobs=1)
    assert str(cost.time_left()) == 'unknown until the first training steps are logged'
    log = folder.of('a') / '20210101' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"lr": 1, "time": 60.0, "step": 1}\n{"lr": 1, "time": 180.0, "step": 2}\n{"slice/f1": 1}\n{"lr"')
    assert training_speed(folder.of('a')) == (120.0, 2)
    steps = [number_of_steps(load_config(run.config, run.options), 'train_dataloader') for run in two.runs]
    found = cost.time_left()
    assert found.seconds == 120 * (sum(steps) - 2) and found.unknown == 2 and 'and 2 tests not measured yet' in str(found)
    assert Cost(folder, jobs=2).time_left().seconds == found.seconds / 2
    for name in ('epoch_3.pth', 'results.json'):
        (folder.of('a') / name).touch()
    (folder.of('a') / 'seconds.json').write_text(json.dumps({'results.json': 30.0}))
    batches = [number_of_steps(load_config(run.config, run.options), 'test_dataloader') for run in two.runs]
    assert cost.time_left().seconds == 120 * steps[1] + 30 * batches[1] / batches[0] and not cost.time_left().unknown
