"""Small plans."""

import subprocess
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

from run_helpers import SMALL, run_forked

from mmaffinity.apis.plans import local

# The phantom's folders, already converted.
DATA = """
data = dict(cncb_ncov=dict(makes='annotations/slices_train.json'), ictcf=dict(makes='annotations/slices_train.json'))
"""
# The second run starts from the first.
TWO = """
title = 'Two'
runs = [dict(name='a', config='affinity_c8_phantom', data='cncb_ncov', options={'image_size': (64, 64)}),
        dict(name='b', config='affinity_c8_phantom_ictcf', data='ictcf', options=dict(load_from='{a}'))]
"""
KEPT = (
    'model.',
    'image_size',
    'train_dataloader.batch_size',
    'train_dataloader.num_workers',
    'train_dataloader.persistent_workers',
    'test_dataloader.',
    'default_hooks.',
)
SEGMENTATION = ('model.train_cfg.', 'model.test_cfg.')


def small_options(epochs: int = 1, interval: int = 0) -> dict:
    """Overrides that make a phantom config train for seconds, of any model with lesions."""
    options = {key: value for key, value in SMALL.items() if key.startswith(KEPT)}
    return {**options, 'train_cfg.max_epochs': epochs, **({'default_hooks.checkpoint.interval': interval} if interval else {})}


def write_plan(path: Path, text: str) -> Path:
    """Write a plan on the tiny phantom."""
    path.write_text(DATA + dedent(text))
    return path


def fork_commands(monkeypatch) -> None:
    """Let the commands of a plan be forked by a server that has imported everything."""
    monkeypatch.setattr(
        local, 'subprocess', SimpleNamespace(run=run_forked, STDOUT=subprocess.STDOUT, DEVNULL=subprocess.DEVNULL)
    )
