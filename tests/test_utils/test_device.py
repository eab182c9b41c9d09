"""Device names as users give them, on machines with and without GPUs."""

import pytest
import torch

from mmaffinity.utils.device import find_device


@pytest.fixture(params=[0, 1, 2])
def gpus(request, monkeypatch):
    """The number of GPUs that torch claims to see."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: request.param)
    return request.param


@pytest.mark.parametrize('name', ['cpu', 'CPU', ' cpu ', 'cpu:0', torch.device('cpu')])
def test_cpu(gpus, name):
    assert find_device(name) == torch.device('cpu')


def test_the_default_is_a_gpu_if_there_is_one(gpus):
    assert find_device() == torch.device('cuda' if gpus else 'cpu')


@pytest.mark.parametrize(
    'name, index',
    [
        ('cuda', None),
        ('gpu', None),
        ('GPU', None),
        ('cuda:0', 0),
        ('gpu:0', 0),
        ('0', 0),
        (0, 0),
        ('cuda:1', 1),
        ('gpu:1', 1),
        ('1', 1),
        (1, 1),
        ('cuda:7', 7),
        ('7', 7),
        ('9' * 30, 9),
        (torch.device('cuda', 1), 1),
    ],
)
def test_gpus(gpus, name, index):
    if not gpus:
        with pytest.raises(ValueError, match='torch finds no GPU; use cpu'):
            find_device(name)
    elif (index or 0) >= gpus:
        with pytest.raises(ValueError, match=rf'does not exist: torch finds {gpus} GPU.*cuda:{gpus - 1}$'):
            find_device(name)
    else:
        assert find_device(name) == (torch.device('cuda') if index is None else torch.device('cuda', index))


@pytest.mark.parametrize(
    'name',
    [
        'mps',
        'mps:0',
        'xpu',
        'meta',
        'nonsense',
        '',
        'cuda:',
        'cuda:-1',
        'cuda:x',
        'cuda0',
        '-1',
        -1,
        '0,1',
        '1.0',
        True,
        'cpu:1',
        '\u0661',
    ],
)
def test_unsupported_devices(gpus, name):
    with pytest.raises(ValueError, match='is not supported: use cpu, or cuda'):
        find_device(name)
