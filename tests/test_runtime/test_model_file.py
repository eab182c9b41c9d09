"""Untrusted ONNX files: changed models, wrong descriptions and other files are rejected before a runtime opens them."""

import json
import os

import pytest

from mmaffinity.runtime import model_file, read_model_file
from mmaffinity.runtime.graph_check import OPERATORS, inspect

onnx = pytest.importorskip('onnx')


def described(change):
    """Return a change of the description in the metadata."""

    def apply(model):
        entry = model.metadata_props[0]
        content = json.loads(entry.value)
        change(content)
        entry.value = json.dumps(content)

    return apply


KINDS = {
    'changed weight': (
        lambda m: setattr(m.graph.initializer[0], 'raw_data', b'\1' + m.graph.initializer[0].raw_data[1:]),
        'SHA-256',
    ),
    'second input': (lambda m: m.graph.input.add(name='other'), 'SHA-256'),
    'no description': (lambda m: m.ClearField('metadata_props'), 'no mmaffinity description'),
    'long description': (described(lambda d: d.update(notice='x' * 70000)), 'characters'),
    'other format': (described(lambda d: d.update(format='x')), 'format'),
    'newer schema': (described(lambda d: d.update(schema=99)), 'schema'),
    'huge slices': (described(lambda d: d['preprocessing'].update(width=10**6)), 'no slice size'),
    'other size': (described(lambda d: d['preprocessing'].update(width=64)), 'not slices of 64'),
    'other resizing': (described(lambda d: d['preprocessing'].update(interpolation='area')), 'preprocessing'),
    'names that are none': (described(lambda d: d.update(slice_classes='abc')), 'slice_classes'),
    'no hash': (described(lambda d: d.pop('graph_sha256')), 'graph_sha256'),
    'unknown precision': (described(lambda d: d.update(precision='int4')), "precision 'int4'"),
    'no precision': (described(lambda d: d.pop('precision')), 'precision None'),
    'int8 in name only': (described(lambda d: d.update(precision='int8')), 'claims precision int8'),
    'threshold': (described(lambda d: d.update(mask_threshold='x')), 'mask_threshold'),
}


@pytest.mark.parametrize('kind', KINDS)
def test_changed_models_and_descriptions_are_rejected(kind, check_rejected):
    check_rejected(*KINDS[kind])


def test_exported_models_are_accepted(exported, proto):
    found = read_model_file(exported[2])
    assert {node.op_type for node in proto.graph.node} <= OPERATORS
    assert found.slice_classes == ('Normal', 'CP', 'COVID-19') and (found.width, found.height) == (128, 128)
    assert found.content == exported[2].read_bytes()


def test_quantised_models_are_accepted(exported_int8):
    found = read_model_file(exported_int8)
    assert found.description['precision'] == 'int8' and inspect(found.content).quantized


def test_quantised_model_that_claims_float32_is_rejected(exported_int8, tmp_path):
    model = onnx.load(exported_int8)
    described(lambda d: d.update(precision='float32'))(model)
    (tmp_path / 'evil.onnx').write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match='evil.onnx .*claims precision float32'):
        read_model_file(tmp_path / 'evil.onnx')


def test_large_files_are_not_read(exported, monkeypatch):
    monkeypatch.setattr(model_file, 'MAX_BYTES', 1000)
    with pytest.raises(ValueError, match='narrow.onnx has .* bytes, above the limit of 1000'):
        read_model_file(exported[2])


@pytest.mark.parametrize('content', [b'', b'\x80\x02cos\nsystem\n', b'PK\x03\x04' + bytes(100), bytes(100), b'\xff' * 100])
def test_other_files_are_rejected(content, tmp_path):
    (tmp_path / 'other.onnx').write_bytes(content)
    with pytest.raises(ValueError, match='other.onnx'):
        read_model_file(tmp_path / 'other.onnx')


def test_missing_files_folders_and_pipes(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.onnx'):
        read_model_file(tmp_path / 'nowhere.onnx')
    with pytest.raises(ValueError, match='not a regular file'):
        read_model_file(tmp_path)
    os.mkfifo(tmp_path / 'pipe.onnx')
    with pytest.raises(ValueError, match='not a regular file'):
        read_model_file(tmp_path / 'pipe.onnx')
