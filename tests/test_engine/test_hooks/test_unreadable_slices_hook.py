"""Report of the slices that training skipped."""

from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
from mmengine.runner import BaseLoop
from torch.utils.data import ConcatDataset

from mmaffinity.engine import UnreadableSlicesHook
from mmaffinity.engine.hooks import unreadable_slices_hook


class Slices(list):
    """A data set that has skipped some slices."""

    def __init__(self, on_unreadable, skipped=()):
        super().__init__([0])
        self.on_unreadable, self.paths = on_unreadable, skipped

    def skipped(self):
        return self.paths


def make_runner(*datasets, resume=False):
    messages = []
    note = messages.append
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=ConcatDataset(datasets)),
        message_hub=MessageHub.get_instance('skipped'),
        logger=SimpleNamespace(info=note, warning=note),
        messages=messages,
        _resume=resume,
        _train_loop=None,
    )


def test_skipped_slices_are_logged_once_each_and_stored():
    runner = make_runner(Slices('skip', ['b.png', 'a.png']), Slices('skip', ['b.png']), Slices('raise', ['never.png']))
    hook = UnreadableSlicesHook()
    hook.after_train(runner)
    assert runner.messages == ['2 slices were unreadable, skipped and replaced by the next in the list: a.png, b.png']
    assert runner.message_hub.get_info('skipped_slices') == 2
    checkpoint = {}
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint == {'meta': {'skipped_slices': ['a.png', 'b.png']}}

    # A resumed run counts those of the checkpoint, too; a run that only starts from its weights does not.
    again = UnreadableSlicesHook()
    resumed = make_runner(Slices('skip', ['c.png']), resume=True)
    again.after_load_checkpoint(resumed, checkpoint)
    again.after_train(resumed)
    assert resumed.messages[-1].endswith('in the list: a.png, b.png, c.png')
    other, fresh = UnreadableSlicesHook(), make_runner(Slices('skip', ['c.png']))
    other.after_load_checkpoint(fresh, checkpoint)
    other.after_train(fresh)
    assert fresh.messages[-1].startswith('1 slice was unreadable') and fresh.messages[-1].endswith('in the list: c.png')


def test_skipped_slices_of_all_processes_are_counted(monkeypatch):
    monkeypatch.setattr(unreadable_slices_hook, 'all_gather_object', lambda mine: [mine, ['z.png', *mine]])
    runner, hook = make_runner(Slices('skip', ['a.png'])), UnreadableSlicesHook()
    hook.after_train_epoch(runner)
    checkpoint = {}
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint['meta']['skipped_slices'] == ['a.png', 'z.png']


def test_a_run_that_skips_nothing_says_so():
    runner, hook = make_runner(Slices('skip')), UnreadableSlicesHook()
    hook.after_train(runner)
    assert runner.messages == ['no slice was skipped: all were readable']
    strict = make_runner(Slices('raise'), [0])
    hook.after_train(strict)  # such a run has nothing to say
    assert strict.messages == []
    checkpoint = {}
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint == {}


def test_a_failed_run_does_not_build_its_data_sets():
    """They may be why it failed."""
    runner = make_runner(Slices('skip', ['a.png']))
    runner._train_loop = dict(type='SliceTrainLoop')
    UnreadableSlicesHook().log_skipped(runner)
    assert runner.messages == []
    runner._train_loop = object.__new__(type('Loop', (BaseLoop,), dict(run=None)))
    UnreadableSlicesHook().log_skipped(runner)
    assert len(runner.messages) == 1 and 'a.png' in runner.messages[0]


@pytest.mark.parametrize('number', [20, 21])
def test_long_lists_are_shortened(number):
    runner = make_runner(Slices('skip', [f'{index:02}.png' for index in range(number)]))
    UnreadableSlicesHook().after_train(runner)
    (message,) = runner.messages
    assert message.startswith(f'{number} slices were unreadable')
    assert message.endswith('18.png, 19.png' + (' and 1 more' if number > 20 else ''))
