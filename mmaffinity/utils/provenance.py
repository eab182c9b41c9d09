"""What a result says about its use, its software, its time and its config."""
import datetime
import hashlib
import json
import platform
from collections.abc import Iterable
from importlib import metadata

import cv2
import mmcv
import mmdet
import mmengine
import numpy as np
import torch
from mmengine.config import Config

from mmaffinity import __version__

NOTICE = 'Research use only; not a medical device.'
SHORT_NOTICE = 'research use only'  # in pictures and headers


def versions() -> dict[str, str]:
    """Versions of the packages behind a result: those of the model and those that read pixels."""
    found = dict(mmaffinity=__version__, python=platform.python_version(), torch=torch.__version__,
                 mmengine=mmengine.__version__, mmcv=mmcv.__version__, mmdet=mmdet.__version__, numpy=np.__version__,
                 opencv=cv2.__version__)
    for name in ('Pillow', 'pydicom', 'nibabel'):
        try:
            found[name.lower()] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """The time in UTC, such as '2025-01-31T12:00:00+00:00'."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')


def fingerprint(lines: Iterable[str]) -> str:
    """SHA-256 over the sorted lines: equal for the same lines in any order."""
    return hashlib.sha256('\n'.join(sorted(lines)).encode(errors='surrogateescape')).hexdigest()


def config_hash(cfg: Config) -> str:
    """SHA-256 of a config's content, independent of the files it was written in."""
    return hashlib.sha256(json.dumps(cfg.to_dict(), sort_keys=True, default=str).encode()).hexdigest()
