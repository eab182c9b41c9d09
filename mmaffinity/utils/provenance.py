"""Provenance of a result: intended use, software versions, time and config."""

import datetime
import hashlib
import json
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmaffinity import __version__

if TYPE_CHECKING:
    from mmengine.config import Config

NOTICE = 'Research use only; not a medical device.'
SHORT_NOTICE = 'research use only'  # for images and headers
SYNTHETIC = 'synthetic_data'  # in the metadata of models that were trained on a phantom


def versions() -> dict[str, str]:
    """Return the versions of the packages that run the model and read pixels."""
    found = dict(mmaffinity=__version__, python=platform.python_version(), numpy=np.__version__, opencv=cv2.__version__)
    # List libraries that run models only if they are loaded: an exported model needs no torch.
    runtimes = ('torch', 'mmengine', 'mmcv', 'mmdet', 'onnxruntime', 'openvino')
    found.update({name: sys.modules[name].__version__ for name in runtimes if name in sys.modules})
    for name in ('Pillow', 'pydicom', 'nibabel'):
        try:
            found[name.lower()] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """Return the current time in UTC, such as '2025-01-31T12:00:00+00:00'."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')


def fingerprint(lines: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted lines, which does not depend on their order."""
    return hashlib.sha256('\n'.join(sorted(lines)).encode(errors='surrogateescape')).hexdigest()


def config_hash(cfg: 'Config') -> str:
    """Return the SHA-256 of a config's content, independent of the files that define it."""
    return hashlib.sha256(json.dumps(cfg.to_dict(), sort_keys=True, default=str).encode()).hexdigest()
