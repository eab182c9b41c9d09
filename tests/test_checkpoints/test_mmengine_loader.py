"""Downloads of checkpoints, and MMEngine's loader replaced by the safe one."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmaffinity.checkpoints import download, mmengine_loader


def test_download_verifies_the_hash_in_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    asked = []
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, target, prefix=None, progress=True: asked.append(prefix) or open(target, 'wb').close(),
    )
    for _ in range(2):  # cached the second time
        assert download('https://example.org/x/resnet18-f37072fd.pth') == tmp_path / 'checkpoints/resnet18-f37072fd.pth'
    assert asked == ['f37072fd']

    def differ(*_, **__):
        raise RuntimeError('invalid hash value')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', differ)
    with pytest.raises(ValueError, match='does not match its name'):
        download('https://example.org/x/other-f37072fd.pth')


def test_downloads_without_a_hash_are_stored_by_url(tmp_path, monkeypatch):
    """Two authors name their file model.pth."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, target, *_, **__: Path(target).write_text(url))
    urls = [f'https://example.org/{author}/model.pth' for author in 'ab']
    assert [download(url).read_text() for url in urls + urls] == urls + urls


@pytest.mark.parametrize('variable', ['LOCAL_RANK', 'SLURM_LOCALID', None])
def test_one_process_per_machine_downloads(variable, tmp_path, monkeypatch):
    """Four processes on two machines with separate home folders."""
    waited, fetched = [], []
    monkeypatch.setattr(mmengine_loader, 'barrier', lambda: waited.append(0))
    for name in ('LOCAL_RANK', 'SLURM_LOCALID'):
        monkeypatch.delenv(name, raising=False)
    for rank in range(4):
        home = tmp_path / str(rank // 2)
        monkeypatch.setattr(torch.hub, 'get_dir', lambda home=home: str(home))
        monkeypatch.setattr(mmengine_loader, 'get_dist_info', lambda rank=rank: (rank, 4))
        if variable:
            monkeypatch.setenv(variable, str(rank % 2))
        monkeypatch.setattr(
            torch.hub,
            'download_url_to_file',
            lambda url, target, *_, rank=rank, **__: fetched.append(rank) or Path(target).touch(),
        )
        if variable or rank < 2:
            assert download('https://example.org/x-f37072fd.pth').is_relative_to(home)
        else:
            with pytest.raises(FileNotFoundError, match='the first process of this machine'):
                download('https://example.org/x-f37072fd.pth')
    assert fetched == ([0, 2] if variable else [0]) and len(waited) == 4


@pytest.mark.parametrize(
    'address',
    [
        'torchvision://resnet50',
        'modelzoo://resnet50',
        'open-mmlab://resnet50_v1c',
        'openmmlab://resnet50_v1c',
        'mmcls://vgg16',
        's3://bucket/a.pth',
        'x:petrel://a.pth',
        'pavi://a',
    ],
)
def test_other_schemes_of_mmengine_are_disabled(address):
    with pytest.raises(ValueError, match='local files or http'):
        CheckpointLoader.load_checkpoint(address)
