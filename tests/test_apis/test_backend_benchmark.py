"""Timing of the same prediction in every backend."""

import csv
import sys

import pytest
from model_helpers import NARROW

from mmaffinity.apis import backend_benchmark
from mmaffinity.apis.backend_benchmark import ENGINES, benchmark_backends

FAST = {
    **{f'model.{key}': value for key, value in NARROW.items()},
    'image_size': (64, 64),
    'model.test_cfg.rpn.max_per_img': 30,
}
pytest.importorskip('onnxscript')
pytest.importorskip('onnxruntime')


@pytest.fixture(autouse=True)
def quick_unit(monkeypatch):
    monkeypatch.setattr(backend_benchmark, 'matrix_product_gflops', lambda: 50.0)


def test_every_backend_is_timed_and_compared_with_the_first(repo_root):
    config = repo_root / 'configs' / 'affinity_c8.py'
    chosen = dict(backends=['torch', 'onnxruntime'], objects=3, runs=1, warmup=1, num_threads=1, overrides=FAST)
    rows = list(benchmark_backends(config, jobs=['both'], bfloat16=True, **chosen))
    assert len({tuple(row) for row in rows}) == 1
    assert [(row['backend'], row['precision']) for row in rows] == [
        ('torch', 'float32'),
        ('torch', 'bfloat16'),
        ('onnxruntime', 'float32'),
        ('onnxruntime', 'int8'),
    ]
    for row in rows:
        assert row['failure'] is None and row['objects'] == 3 and row['fastest'] <= row['seconds']
        assert row['speed_up'] == pytest.approx(rows[0]['seconds'] / row['seconds'])
        assert row['peak_gflop'] == pytest.approx(50 * row['seconds'])


def test_failing_backend_is_reported_as_a_row(repo_root, tmp_path, monkeypatch, capsys):
    from mmaffinity_cli import main

    def refuse(model, backend, precision, threads):
        raise MemoryError if precision == 'int8' else RuntimeError('no such kernel\nat line 1')

    monkeypatch.setattr(backend_benchmark, 'export_onnx', lambda *args, **kwargs: None)
    monkeypatch.setattr(backend_benchmark, 'OnnxInferencer', refuse)
    monkeypatch.setattr(backend_benchmark, 'has_bfloat16', lambda: False)
    options = [f'{key}={value!r}'.replace(' ', '').replace("'", '') for key, value in FAST.items()]
    command = ['benchmark', str(repo_root / 'configs' / 'affinity_c8.py'), '--backends', 'torch', 'onnxruntime']
    command += ['--jobs', 'classification', '--runs', '1', '--warmup', '0', '--threads', '1', '--out', str(tmp_path / 'x.csv')]
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', *command, '--cfg-options', *options])
    assert main() in (None, 0)
    rows = list(csv.DictReader((tmp_path / 'x.csv').read_text().splitlines()))
    assert [row['failure'] for row in rows] == ['', 'RuntimeError: no such kernel at line 1', 'MemoryError']
    assert rows[1]['seconds'] == '' and 'no such kernel' in capsys.readouterr().out


def test_invalid_arguments():
    assert set(ENGINES) >= {'torch', *backend_benchmark.BACKENDS}
    with pytest.raises(ValueError, match='unknown: tensorrt; the backends are torch, '):
        next(benchmark_backends('affinity_c8', backends=['tensorrt']))
    with pytest.raises(ValueError, match='unknown: train; .*; the jobs are classification, detection, both'):
        next(benchmark_backends('affinity_c8', jobs=['train']))
    with pytest.raises(ValueError, match='at least 1, not 0'):
        next(benchmark_backends('affinity_c8', runs=0))
