"""Losses that are no numbers: who is named, and when it is noticed."""
import math
from types import SimpleNamespace

import pytest
import torch

from mmaffinity.engine import FiniteLossHook, WholeCheckpointHook


@pytest.fixture
def runner():
    return SimpleNamespace(iter=6, epoch=1, hooks=[], _resume=False, _load_from='pretrained.pth')


def batch(task):
    return dict(data_samples=[dict(task=task, img_path=f'{name}.png') for name in ('a', 'b')])


def outputs(**terms):
    terms = {name: torch.tensor(value) for name, value in terms.items()}
    return {'loss': sum(value for name, value in terms.items() if 'loss' in name), **terms}


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('task, term', [('segmentation', 'loss_mask'), ('classification', 'loss_slice')])
def test_sentence(task, term, value, runner):
    with pytest.raises(ValueError) as stop:
        FiniteLossHook().after_train_iter(runner, 0, batch(task), outputs(**{term: value, 'loss_fine': 1.}))
    message = str(stop.value)
    for part in ('iteration 7', 'epoch 2', f'the {task} stage', f'{term} = {value}', 'a.png, b.png', 'none was written yet'):
        assert part in message, part
    assert 'loss_fine' not in message and 'loss =' not in message and 'pretrained.pth' not in message


def test_only_the_sum_overflows(runner):
    with pytest.raises(ValueError, match='loss = inf'):
        FiniteLossHook().after_train_iter(runner, 0, batch('segmentation'), outputs(loss_a=3e38, loss_b=3e38))


def test_last_good_checkpoint(runner):
    runner._resume = True
    with pytest.raises(ValueError, match='last good checkpoint: pretrained.pth'):
        FiniteLossHook().after_train_iter(runner, 0, batch('segmentation'), outputs(loss_a=math.nan))
    writer = WholeCheckpointHook()
    writer.last_whole = 'work/epoch_3.pth'
    runner.hooks.append(writer)
    with pytest.raises(ValueError, match='last good checkpoint: work/epoch_3.pth'):
        FiniteLossHook().after_train_iter(runner, 0, batch('segmentation'), outputs(loss_a=math.nan))


def test_numbers_pass(runner):
    hook = FiniteLossHook()
    for value in (0., 1e30, -5.):
        hook.after_train_iter(runner, 0, batch('segmentation'), outputs(loss_a=value, acc=math.nan))
    hook.after_train_epoch(runner)
    hook.before_save_checkpoint(runner, {})


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU, on which losses arrive a step later')
def test_on_a_gpu_the_step_before_is_named(runner):
    hook = FiniteLossHook()
    hook.after_train_iter(runner, 0, batch('segmentation'), {'loss_a': torch.tensor(math.nan, device='cuda')})
    runner.iter += 1
    with pytest.raises(ValueError, match='iteration 7.*segmentation'):
        hook.after_train_iter(runner, 0, batch('classification'), {'loss_a': torch.tensor(1., device='cuda')})
    hook.after_train_iter(runner, 0, batch('segmentation'), {'loss_a': torch.tensor(math.nan, device='cuda')})
    with pytest.raises(ValueError, match='iteration 8'):
        hook.before_save_checkpoint(runner, {})
