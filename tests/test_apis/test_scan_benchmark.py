"""Reading ahead changes how long a prediction takes, and nothing else."""

import time

import numpy as np
import pytest
from scan_helpers import write_images

from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.scan_benchmark import COLUMNS, time_scans
from mmaffinity.scans import image_scan
from mmaffinity.scans.read_ahead import MIN_SLICES


def test_reading_hides_behind_computing(tmp_path, inferencer, monkeypatch):
    """Reading a slice takes 30 ms, and so does the network: without a worker the network waits half of the time."""
    folder = write_images(tmp_path / 'in', MIN_SLICES + 4)
    decode, forward = image_scan.decode_slice, inferencer._forward
    monkeypatch.setattr(image_scan, 'decode_slice', lambda *args: time.sleep(0.03) or decode(*args))
    monkeypatch.setattr(inferencer, '_forward', lambda packed: time.sleep(0.03) or forward(packed))
    apart, ahead = time_scans(inferencer, folder, (0, 1))
    assert tuple(apart) == COLUMNS and apart['slices'] == ahead['slices'] == MIN_SLICES + 4
    assert apart['waiting_seconds'] >= 0.03 * (MIN_SLICES + 3) > 3 * ahead['waiting_seconds']


def test_predictions_are_the_same(tmp_path, model):
    folder = write_images(tmp_path / 'in', MIN_SLICES)
    found = [list(AffinityInferencer(*model, device='cpu', workers=workers)(folder)) for workers in (0, 2)]
    for one, other in zip(*found, strict=True):
        assert one.slice.name == other.slice.name and one.probabilities == other.probabilities
        assert np.array_equal(one.sample.pred_instances.bboxes, other.sample.pred_instances.bboxes)


def test_wrong_use(tmp_path, model, inferencer):
    with pytest.raises(ValueError, match='workers=-1'):
        AffinityInferencer(*model, device='cpu', workers=-1)
    (tmp_path / 'notes.txt').write_text('no slice')
    with pytest.raises(ValueError, match='no slice of .* can be predicted'):
        list(time_scans(inferencer, tmp_path))
