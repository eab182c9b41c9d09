"""Select a model's device."""

import re

import torch

_NAME = re.compile(r'(?:(?:cuda|gpu)(?::(\d+))?|(\d+))', re.ASCII)


def find_device(name: str | int | torch.device | None = None) -> torch.device:
    """Return the device named by a user.

    Args:
        name: 'cpu'; 'cuda' or 'gpu', the current GPU; 'cuda:1', 'gpu:1', '1' or 1, the second GPU; None, a GPU if torch
            finds one, otherwise the CPU.

    Raises:
        ValueError: if the device does not exist or is not supported.
    """
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    text = '' if isinstance(name, bool) else str(name).strip().lower()
    if text in ('cpu', 'cpu:0'):
        return torch.device('cpu')
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError(f'device {name!r} is not supported: use cpu, or cuda, cuda:1, ... for an NVIDIA GPU')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise ValueError(f'device {name!r} does not exist: torch finds no GPU; use cpu')
    number = match[1] or match[2]
    if number is None:
        return torch.device('cuda')
    if int(number) >= count:
        raise ValueError(
            f'device {name!r} does not exist: torch finds {count} GPU{"" if count == 1 else "s"}, '
            f'{", ".join(f"cuda:{index}" for index in range(count))}'
        )
    return torch.device('cuda', int(number))
