"""Classes of a checkpoint and of the data that it is resumed or tested on."""

from types import SimpleNamespace

import pytest
import torch

from mmaffinity.engine.hooks import checkpoint_guard_hook
from mmaffinity.engine.hooks.checkpoint_guard_hook import CheckpointGuardHook


def load(learned, data):
    """Let a run that tests read a checkpoint."""
    model = torch.nn.Linear(1, 1)
    runner = SimpleNamespace(
        _resume=False,
        _load_from='epoch_1.pth',
        model=model,
        _train_loop=None,
        train_dataloader=None,
        test_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=data)),
    )
    CheckpointGuardHook().after_load_checkpoint(runner, dict(state_dict=model.state_dict(), meta=learned))


@pytest.fixture
def logged(monkeypatch):
    messages = []
    monkeypatch.setattr(checkpoint_guard_hook, 'print_log', lambda message, **_: messages.append(message))
    return messages


@pytest.mark.parametrize('key', ['classes', 'slice_classes'])
def test_classes_in_another_order_are_rejected(key, logged):
    with pytest.raises(ValueError, match=rf"trained with {key} \('a', 'b'\), but the data has \('b', 'a'\): labels would"):
        load(dict(dataset_meta={key: ('a', 'b')}), {key: ('b', 'a')})
    load(dict(dataset_meta={key: ['a', 'b']}), {key: ('a', 'b')})
    assert not logged


@pytest.mark.parametrize(
    'learned, data, count',
    [
        (dict(dataset_meta=dict(slice_classes=('CP', 'COVID'))), dict(slice_classes=('CP', 'COVID-19')), 1),
        (dict(dataset_meta=dict(classes=('lesion',))), dict(slice_classes=('a', 'b')), 0),
        (dict(dataset_meta=None), dict(classes=('lesion',)), 0),
        (None, dict(classes=('lesion',)), 0),
    ],
)
def test_different_class_names_are_logged(learned, data, count, logged):
    load(learned, data)
    assert len(logged) == count and all('assuming the same classes in this order' in message for message in logged)
