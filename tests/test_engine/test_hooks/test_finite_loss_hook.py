"""Non-finite losses: what is reported, and when."""

import math
from types import SimpleNamespace

import pytest
import torch

from mmaffinity.engine import FiniteLossHook, WholeCheckpointHook
from mmaffinity.engine.hooks.finite_loss_hook import _Step
from mmaffinity.structures.non_finite_output_error import NonFiniteOutputError


@pytest.fixture
def runner():
    return SimpleNamespace(
        iter=6,
        epoch=1,
        hooks=[],
        _resume=False,
        _load_from='pretrained.pth',
        model=Refusing(),
        cfg=dict(optim_wrapper=dict(optimizer=dict(lr=0.02))),
    )


class Refusing(torch.nn.Module):
    """A model whose weights diverged."""

    def train_step(self, data, optim_wrapper):
        raise NonFiniteOutputError("the network's output for innocent.png is not finite")


class Late:
    """Stand-in for a GPU event: losses that are still unchecked when the next step starts."""

    def synchronize(self):
        pass


def batch(task):
    return dict(data_samples=[dict(task=task, img_path=f'{name}.png') for name in ('a', 'b')])


def outputs(**terms):
    terms = {name: torch.tensor(value) for name, value in terms.items()}
    return {'loss': sum(value for name, value in terms.items() if 'loss' in name), **terms}


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('task, term', [('segmentation', 'loss_mask'), ('classification', 'loss_slice')])
def test_message_describes_the_failure(task, term, value, runner):
    with pytest.raises(ValueError) as stop:
        FiniteLossHook().after_train_iter(runner, 0, batch(task), outputs(**{term: value, 'loss_fine': 1.0}))
    message = str(stop.value)
    for part in ('iteration 7', 'epoch 2', f'the {task} stage', f'{term} = {value}', 'a.png, b.png', 'none yet'):
        assert part in message, part
    assert 'loss_fine' not in message and 'loss =' not in message and 'pretrained.pth' not in message


def test_overflow_of_the_sum_is_reported(runner):
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


def test_finite_losses_pass(runner):
    hook = FiniteLossHook()
    for value in (0.0, 1e30, -5.0):
        hook.after_train_iter(runner, 0, batch('segmentation'), outputs(loss_a=value, acc=math.nan))
    hook.after_train_epoch(runner)
    hook.before_save_checkpoint(runner, {})


def test_message_advises_a_new_run_with_a_lower_rate(runner):
    with pytest.raises(ValueError) as stop:
        FiniteLossHook().after_train_iter(runner, 0, batch('segmentation'), outputs(loss_a=math.nan))
    message = str(stop.value)
    assert 'load_from' not in message and message.endswith(
        'another work directory (--work-dir), without --resume, with --cfg-options optim_wrapper.optimizer.lr=RATE, where RATE '
        'is below 0.02'
    )
    runner._resume, runner._load_from = True, 'my work/epoch_3.pth'
    with pytest.raises(ValueError, match="--cfg-options load_from='my work/epoch_3.pth' optim_wrapper.optimizer.lr=RATE"):
        FiniteLossHook().after_train_iter(runner, 0, batch('segmentation'), outputs(loss_a=math.nan))


def test_non_finite_output_names_the_whole_batch(runner):
    hook = FiniteLossHook()
    hook.before_train(runner)
    with pytest.raises(ValueError) as stop:
        runner.model.train_step(batch('segmentation'), optim_wrapper=None)
    message = str(stop.value)
    for part in (
        'iteration 7 (epoch 2)',
        'output in the segmentation stage is not finite; ',
        'a.png, b.png; last good',
        'none yet',
        'lr=RATE',
    ):
        assert part in message, (part, message)
    assert isinstance(stop.value.__cause__, NonFiniteOutputError)
    hook.after_train(runner)
    assert runner.model.train_step.__func__ is Refusing.train_step


@pytest.mark.parametrize(
    'value, blamed',
    [
        (math.nan, 'iteration 7 .*loss of the segmentation stage.*loss_a = nan.*a.png'),
        (1.0, 'iteration 8 .*output in the classification stage.*innocent.png'),
    ],
)
def test_non_finite_output_after_a_pending_step(value, blamed, runner):
    """The pending step is reported if it is the cause, not the slices after it."""
    hook = FiniteLossHook()
    hook.before_train(runner)
    hook._pending = _Step(7, 2, 'segmentation', ['a.png'], ['loss_a'], torch.tensor([value]), Late())
    runner.iter += 1
    with pytest.raises(ValueError, match=blamed) as stop:
        runner.model.train_step(dict(data_samples=[dict(task='classification', img_path='innocent.png')]), None)
    assert ('innocent' in str(stop.value)) is (value == 1.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU, on which losses arrive a step later')
def test_pending_gpu_step_is_named(runner):
    hook = FiniteLossHook()
    hook.after_train_iter(runner, 0, batch('segmentation'), {'loss_a': torch.tensor(math.nan, device='cuda')})
    runner.iter += 1
    with pytest.raises(ValueError, match='iteration 7.*segmentation'):
        hook.after_train_iter(runner, 0, batch('classification'), {'loss_a': torch.tensor(1.0, device='cuda')})
    hook.after_train_iter(runner, 0, batch('segmentation'), {'loss_a': torch.tensor(math.nan, device='cuda')})
    with pytest.raises(ValueError, match='iteration 8'):
        hook.before_save_checkpoint(runner, {})
