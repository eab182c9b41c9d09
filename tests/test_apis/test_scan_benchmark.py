"""Reading ahead changes the duration of a prediction and nothing else."""

import time

import numpy as np
import pytest
from scan_helpers import write_images

from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.scan_benchmark import time_scans
from mmaffinity.scans import image_scan
from mmaffinity.scans.read_ahead import MIN_SLICES


def test_reading_overlaps_with_computing(tmp_path, inferencer, monkeypatch):
    """With a worker, slices are decoded while the network computes; without one, only the next slice is ready."""
    count = MIN_SLICES + 4
    folder = write_images(tmp_path / 'in', count)
    decoded = tmp_path / 'decoded'  # grows by a byte per slice, whichever process decodes it
    decode, forward = image_scan.decode_slice, inferencer._forward
    patience, ahead = 0.0, []

    def recorded(*args):
        grey = decode(*args)
        with decoded.open('ab') as stream:
            stream.write(b'.')
        return grey

    def computing(packed):
        own = len(ahead) + 1
        deadline = time.monotonic() + patience
        while decoded.stat().st_size < min(own + 2, count) and time.monotonic() < deadline:
            time.sleep(0.001)
        ahead.append(decoded.stat().st_size - own)
        return forward(packed)

    monkeypatch.setattr(image_scan, 'decode_slice', recorded)
    monkeypatch.setattr(inferencer, '_forward', computing)
    (row,) = time_scans(inferencer, folder, [0])
    assert row['slices'] == count and ahead == [1] * (count - 1) + [0]
    assert 0 < row['waiting_seconds'] < row['seconds']
    ahead.clear()
    decoded.unlink()
    patience = 60.0
    (row,) = time_scans(inferencer, folder, [1])
    assert row['slices'] == count and min(ahead[:-2]) >= 2 and ahead[-2:] == [1, 0]


def test_predictions_are_the_same(tmp_path, model):
    folder = write_images(tmp_path / 'in', MIN_SLICES)
    found = [list(AffinityInferencer(*model, device='cpu', workers=workers)(folder)) for workers in (0, 2)]
    for one, other in zip(*found, strict=True):
        assert one.slice.name == other.slice.name and one.probabilities == other.probabilities
        assert np.array_equal(one.sample.pred_instances.bboxes, other.sample.pred_instances.bboxes)


def test_invalid_arguments(tmp_path, model, inferencer):
    with pytest.raises(ValueError, match='workers must be at least 0, not -1'):
        AffinityInferencer(*model, device='cpu', workers=-1)
    (tmp_path / 'notes.txt').write_text('no slice')
    with pytest.raises(ValueError, match='no slice of .* can be predicted'):
        list(time_scans(inferencer, tmp_path))
