"""Replace MMEngine's checkpoint loader with the safe one."""

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.runner import CheckpointLoader

from .loading import load_checkpoint


def register_safe_loader() -> None:
    """Make MMEngine load all checkpoints (load_from, resume, pretrained weights) with :func:`load_checkpoint`.

    Local files and http(s) URLs are supported. MMEngine's other schemes use its own loader with an unsafe fallback, and are
    rejected.
    """
    others = set(CheckpointLoader._schemes) - {'', 'http://', 'https://'}
    CheckpointLoader.register_scheme(prefixes=['', 'http://', 'https://'], loader=_load_for_mmengine, force=True)
    CheckpointLoader.register_scheme(prefixes=sorted(others), loader=_refuse_scheme, force=True)


def _load_for_mmengine(filename: str, map_location: Any = None, logger: logging.Logger | None = None) -> dict:
    path = download(filename) if filename.startswith(('http://', 'https://')) else Path(filename).expanduser()
    content = load_checkpoint(path, map_location)
    meta = content.get('meta')
    if isinstance(meta, dict):
        # Runner.resume would execute this as a Python config.
        meta.pop('config', None)
    return content


def _refuse_scheme(filename: str, map_location: Any = None, logger: logging.Logger | None = None) -> dict:
    raise ValueError(
        f'{filename} was not loaded: checkpoints must be local files or http(s) URLs; download it and give its path'
    )


def download(url: str) -> Path:
    """Download a checkpoint to torch's cache, unless it is there, and return its path without opening it.

    A suffix of the name like ``-f37072fd.`` is the start of the SHA-256, which is verified. Files without one are stored under
    a hash of their URL, because names alone are not unique. In a distributed run, one process per machine downloads the file
    and the others wait. If machines share a home folder, each downloads to a temporary file and renames it.

    Raises:
        URLError: if the download fails.
        ValueError: if the SHA-256 does not match the name, or the URL has no file name.
    """
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    name = Path(urlparse(url).path).name
    if not name:
        raise ValueError(f'{url} has no file name; give the URL of a checkpoint')
    digest = re.search(r'-([a-f0-9]{8,})\.', name)
    if digest is None:
        folder /= hashlib.sha256(url.encode()).hexdigest()[:16]
    path = folder / name
    rank, processes = get_dist_info()
    local_rank = os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', str(rank)))
    try:
        if (processes == 1 or local_rank == '0') and not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(url, str(path), digest and digest.group(1), progress=False)
            except RuntimeError as error:
                raise ValueError(f'{url} was discarded: its content does not match its name: {error}') from error
    finally:
        if processes > 1:
            barrier()  # also after an error, or the other processes would wait forever
    if not path.exists():
        raise FileNotFoundError(f'{url} could not be downloaded by the first process of this machine; see its message')
    return path
