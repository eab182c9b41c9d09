"""Provenance of a result: fingerprints of lists and configs."""

import datetime
import hashlib
import sys

import numpy as np
import pytest
from mmengine.config import Config

from mmaffinity import __version__
from mmaffinity.utils.provenance import config_hash, fingerprint, now, versions


def test_fingerprint_does_not_depend_on_the_order():
    assert fingerprint(['b', 'a']) == fingerprint(['a', 'b']) == hashlib.sha256(b'a\nb').hexdigest()
    assert fingerprint(['a']) != fingerprint(['a', 'b'])


def test_names_that_are_not_utf8_have_a_fingerprint():
    assert fingerprint(['caf\udce9']) == hashlib.sha256(b'caf\xe9').hexdigest()


def test_hash_of_a_config_depends_on_its_content_only(tmp_path):
    (tmp_path / 'base.py').write_text('a = 1\nb = dict(c=(2, 3))\n')
    (tmp_path / 'child.py').write_text("_base_ = 'base.py'\n")
    (tmp_path / 'other.py').write_text('b = dict(c=(2, 3))\na = 1\n')
    hashes = {config_hash(Config.fromfile(tmp_path / f'{name}.py')) for name in ('base', 'child', 'other')}
    assert len(hashes) == 1 and hashes != {config_hash(Config(dict(a=1, b=dict(c=(2, 4)))))}
    assert hashes == {config_hash(Config(dict(a=1, b=dict(c=(2, 3)))))}


def test_versions_name_loaded_runtimes_only(monkeypatch):
    monkeypatch.delitem(sys.modules, 'onnxruntime', raising=False)
    found = versions()
    assert found['mmaffinity'] == __version__ and found['numpy'] == np.__version__ and 'onnxruntime' not in found
    assert found['python'] == '.'.join(map(str, sys.version_info[:3])) and found['pillow']
    monkeypatch.setitem(sys.modules, 'onnxruntime', pytest)
    assert versions()['onnxruntime'] == pytest.__version__


def test_time_is_in_utc():
    written = datetime.datetime.fromisoformat(now())
    assert written.utcoffset() == datetime.timedelta(0) and written.microsecond == 0
    assert abs(datetime.datetime.now(datetime.timezone.utc) - written) < datetime.timedelta(minutes=1)
