"""Prediction of slices with any runtime: batches, order, problems."""

import gc
import warnings
import weakref

import numpy as np
import pytest
from scan_helpers import chest, failing, in_a, to_grey, write_images

from mmaffinity.apis import AffinityInferencer, SlicePrediction
from mmaffinity.scans import Problem, Slice
from mmaffinity.scans.image_scan import ImageScan
from mmaffinity.structures import SliceDataSample


@pytest.fixture(scope='module')
def inferencer(model):
    return AffinityInferencer(*model, device='cpu', batch_size=3)


def test_predictions_are_typed(inferencer):
    (prediction,) = inferencer(to_grey(chest()))
    assert isinstance(prediction, SlicePrediction) and isinstance(prediction.sample, SliceDataSample)
    assert list(prediction.probabilities) == ['Normal', 'CP', 'COVID-19']
    assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.get)
    record = prediction.record(0.05)
    assert len(record.lesions) > 0 and record.label == prediction.label
    assert len(prediction.record(1.0).lesions) == 0
    assert prediction.overlay(0.05, show_rois=True).ndim == 3
    masks = prediction.sample.pred_instances.masks
    assert masks.shape[1:] == (64, 64) and prediction.scan.kind == 'images'


def test_results_are_streamed_while_reading(inferencer):
    read = []

    def slices():
        for index in range(100):
            read.append(index)
            yield Slice(f's{index}', f'k{index}', index, to_grey(chest(index % 5)))

    results = inferencer.predict_slices(slices())
    assert next(results).slice.name == 's0' and len(read) == 4  # a batch of 3, and the slice after it
    results.close()


def test_predictions_are_not_kept_in_memory(inferencer):
    """Only slices of the current batches are alive, so memory does not grow."""
    alive = weakref.WeakValueDictionary()

    def slices():
        for index in range(12):
            item = Slice(f's{index}', f'k{index}', index, to_grey(chest(index % 5)))
            alive[index] = item
            yield item
            del item

    counts = []
    for prediction in inferencer.predict_slices(slices()):
        alive[100 + prediction.slice.index] = prediction
        del prediction
        gc.collect()
        counts.append(len(alive))
    assert len(counts) == 12 and max(counts) <= 2 * (inferencer.batch_size + 1)


def test_problems_are_yielded_in_input_order(tmp_path, inferencer):
    write_images(tmp_path, 4)
    (tmp_path / 'slice_1.png').write_bytes(b'\x89PNG\r\n\x1a\n broken')
    (tmp_path / 'empty').touch()
    seen = []
    names = [prediction.slice.name for prediction in inferencer(tmp_path, on_problem=seen.append)]
    assert [name[-11:] for name in names] == ['slice_0.png', 'slice_2.png', 'slice_3.png']
    assert len(seen) == 2 and all(isinstance(item, Problem) and item.reason for item in seen)
    with pytest.warns(UserWarning, match='truncated PNG'), pytest.warns(UserWarning, match='is empty'):
        assert len(list(inferencer(tmp_path))) == 3
    items = [Problem('a', 'b'), Slice('s', 'k', 0, to_grey(chest())), Problem('c', 'd')]
    results = list(inferencer.predict_slices(items))
    assert [type(item).__name__ for item in results] == ['Problem', 'SlicePrediction', 'Problem']


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_error_lists_reasons_if_nothing_is_predicted(tmp_path, inferencer):
    (tmp_path / 'a.png').touch()
    for inputs, reason in ((tmp_path / 'a.png', 'empty'), (tmp_path / 'b', 'does not exist'), (np.zeros((1, 1)), 'too small')):
        with pytest.raises(ValueError, match=f'nothing could be predicted.*{reason}'):
            list(inferencer(inputs))


def test_python_api_yields_the_other_scans(two_scans, inferencer, monkeypatch):
    monkeypatch.setattr(ImageScan, 'read', failing(ImageScan.read, KeyError('odd'), in_a))
    problems = []
    assert [item.scan.name for item in inferencer(two_scans, on_problem=problems.append)] == ['in/b'] * 2
    assert [problem.failed for problem in problems] == [True] and "KeyError: 'odd'" in problems[0].reason
    with pytest.warns(UserWarning, match='in/a: cannot be predicted: KeyError'):
        assert len(list(inferencer(two_scans))) == 2


def test_python_api_does_not_warn_about_clutter(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 1)
    (folder / '.DS_Store').write_bytes(b'\0\0\0\1Bud1')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert len(list(inferencer(folder))) == 1
    problems = []
    list(inferencer(folder, on_problem=problems.append))
    assert [problem.clutter for problem in problems] == [True]


def test_traceback_is_shown_on_request(two_scans, inferencer, monkeypatch, capsys):
    monkeypatch.setattr(ImageScan, 'read', failing(ImageScan.read, KeyError('odd'), in_a))
    monkeypatch.setenv('MMAFFINITY_TRACEBACK', '1')
    list(inferencer(two_scans, on_problem=lambda problem: None))
    assert "KeyError: 'odd'" in capsys.readouterr().err
