"""Loading of checkpoints: nothing in them runs."""

import os
import pickle
import sys

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmaffinity.checkpoints import load_checkpoint


class Payload:
    """Pickles as a call that creates a file."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def payloads(mark):
    return {
        'system': Payload(os.system, f'touch {mark}'),
        'exec': Payload(exec, f'open({str(mark)!r}, "w").close()'),
        'getattr': Payload(getattr, HistoryBuffer, '__init__'),
        'torch_load': Payload(torch.load, str(mark)),
        'open': Payload(open, str(mark), 'w'),
    }


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('kind', ['system', 'exec', 'getattr', 'torch_load', 'open'])
def test_payload_does_not_run(kind, legacy, tmp_path):
    path, mark = tmp_path / 'evil.pth', tmp_path / 'mark'
    content = {'state_dict': {'w': torch.zeros(2)}, 'meta': payloads(mark)[kind]}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    for load in (load_checkpoint, CheckpointLoader.load_checkpoint):
        with pytest.raises(ValueError, match='evil.pth was not loaded'):
            load(str(path))
    assert not mark.exists()


def test_plain_pickle_does_not_run(tmp_path):
    path, mark = tmp_path / 'evil.pth', tmp_path / 'mark'
    path.write_bytes(pickle.dumps(payloads(mark)['system']))
    with pytest.raises(ValueError, match='evil.pth'):
        load_checkpoint(path)
    assert not mark.exists()


def test_mmengine_checkpoints_are_loaded(tmp_path):
    buffer = HistoryBuffer()
    buffer.update(3.5)
    path = tmp_path / 'good.pth'
    torch.save({'message_hub': {'loss': buffer}, 'state_dict': {'w': torch.arange(3.0)}, 'meta': {'epoch': 1}}, path)
    content = load_checkpoint(path)
    assert content['message_hub']['loss'].current() == 3.5
    assert content['message_hub']['loss'].statistics('mean') == 3.5
    assert torch.equal(content['state_dict']['w'], torch.arange(3.0))


@pytest.mark.parametrize('content', [b'', b'not a checkpoint at all', b'PK\x03\x04 cut'])
def test_other_and_damaged_files_raise_clear_errors(content, tmp_path):
    path = tmp_path / 'damaged.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='damaged.pth'):
        load_checkpoint(path)


def test_truncated_file_and_wrong_content(tmp_path):
    path = tmp_path / 'whole.pth'
    torch.save({'w': torch.zeros(1000)}, path)
    short = tmp_path / 'short.pth'
    short.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match='short.pth is not a checkpoint or is damaged'):
        load_checkpoint(short)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match='list instead of a dict'):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match='missing.pth does not exist'):
        load_checkpoint(tmp_path / 'missing.pth')


@pytest.mark.parametrize(
    'version, refused',
    [
        ('2.1.0', True),
        ('2.5.1+cu121', True),
        ('2.9.1', True),
        ('2.10.0', False),
        ('2.13.0+cpu', False),
        ('3.0.0a0', False),
        ('unknown', True),
    ],
)
def test_old_torch_is_rejected_for_pth(version, refused, tmp_path, monkeypatch):
    """CVE-2025-32434 and CVE-2026-24747: before 2.10, a crafted file runs code in spite of weights_only."""
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'w': torch.zeros(2)}}, path)
    monkeypatch.setattr(torch, '__version__', version)
    monkeypatch.delenv('MMAFFINITY_TRUST_PTH', raising=False)
    if not refused:
        assert 'w' in load_checkpoint(path)['state_dict']
        return
    opened = []
    monkeypatch.setattr(torch, 'load', lambda *_, **__: opened.append(1) or {})
    for load in (load_checkpoint, lambda path: CheckpointLoader.load_checkpoint(str(path))):
        with pytest.raises(ValueError, match='a.pth was not loaded: .*CVE-2025-32434 .*CVE-2026-24747 .*2.10'):
            load(path)
    assert not opened
    monkeypatch.setenv('MMAFFINITY_TRUST_PTH', '1')  # the user trusts the file
    load_checkpoint(path)
    assert opened


def test_old_torch_loads_safetensors(tmp_path, monkeypatch):
    safetensors = pytest.importorskip('safetensors.torch')
    safetensors.save_file({'w': torch.arange(3.0)}, tmp_path / 'a.safetensors')
    monkeypatch.setattr(torch, '__version__', '2.5.1')
    for load in (load_checkpoint, lambda path: CheckpointLoader.load_checkpoint(str(path))):
        assert torch.equal(load(tmp_path / 'a.safetensors')['state_dict']['w'], torch.arange(3.0))


@pytest.mark.parametrize('cut', [0, 7, 20, -1])
def test_damaged_safetensors_raise_a_clear_error(cut, tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'a.safetensors'
    safetensors.save_file({'w': torch.arange(3.0)}, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match='a.safetensors is not a .safetensors file or is damaged'):
        load_checkpoint(path)


def test_safetensors_is_optional(tmp_path, monkeypatch):
    (tmp_path / 'a.safetensors').write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    with pytest.raises(ValueError, match=r'pip install "mmaffinity\[safetensors\]"'):
        load_checkpoint(tmp_path / 'a.safetensors')
