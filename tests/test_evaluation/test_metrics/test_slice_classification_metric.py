"""The registered slice metric: what it reads from samples, returns, logs and writes."""

import json

import pytest
import torch
from mmdet.registry import METRICS
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from mmaffinity.evaluation.metrics import SliceClassificationMetric
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION, SliceDataSample

META = dict(slice_classes=('Normal', 'CP', 'COVID-19'))


def slice_sample(label, scores, number=0):
    sample = SliceDataSample(metainfo=dict(task=CLASSIFICATION, img_path=f'{number}.png', patient_id='7', scan_id=None))
    scores = torch.as_tensor(scores)
    sample.gt_slice = BaseDataElement(label=torch.tensor([label]))
    sample.pred_slice = BaseDataElement(label=scores.argmax().reshape(1), score=scores)
    return sample


def one_hot(label):
    return torch.nn.functional.one_hot(torch.tensor(label), 3) * 0.75


def evaluate(metric, samples, meta=META):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = meta
    return evaluator.offline_evaluate(samples, chunk_size=2)


def test_scores_of_a_small_run(log):
    truth_and_pred = [(0, 0), (0, 0), (0, 1), (1, 1), (2, 2), (2, 0)]
    samples = [slice_sample(truth, one_hot(pred), i) for i, (truth, pred) in enumerate(truth_and_pred)]
    samples.insert(2, SliceDataSample(metainfo=dict(task=SEGMENTATION)))
    metric = METRICS.build(dict(type='SliceClassificationMetric'))
    scores = evaluate(metric, samples)
    assert scores['slice/accuracy'] == pytest.approx(4 / 6)
    assert scores['slice/sensitivity_COVID-19'] == pytest.approx(1 / 2)
    assert scores['slice/precision_Normal'] == pytest.approx(2 / 3)
    assert scores['slice/specificity_CP'] == pytest.approx(4 / 5)
    assert scores['slice/f1_CP'] == pytest.approx(2 / 3)
    assert scores['slice/f1'] == pytest.approx(3 / 6 * 2 / 3 + 1 / 6 * 2 / 3 + 2 / 6 * 2 / 3)
    assert all(type(value) is float for value in scores.values())
    assert metric.predictions[3] == dict(img_path='3.png', patient_id='7', scan_id=None, label=1, pred=1, scores=[0, 0.75, 0])
    assert any('truth \\ predicted' in line and 'sensitivity %' in line for line in log)


def test_fixed_weights_names_and_prefix():
    metric = SliceClassificationMetric(class_names=('a', 'b'), class_weights=(0.9, 0.1), prefix='ictcf')
    scores = evaluate(metric, [slice_sample(0, [0.9, 0.2]), slice_sample(1, [0.9, 0.2])], meta=None)
    assert scores['ictcf/f1'] == pytest.approx(0.9 * 2 / 3)
    assert 'ictcf/precision_b' not in scores


def test_predictions_file(tmp_path):
    path = tmp_path / 'deep' / 'predictions.json'
    metric = SliceClassificationMetric(out_file=path)
    evaluate(metric, [slice_sample(0, one_hot(0)), slice_sample(1, one_hot(1))])
    assert json.loads(path.read_text()) == metric.predictions
    assert [file.name for file in path.parent.iterdir()] == ['predictions.json']


def test_run_without_labelled_slices(log, tmp_path):
    metric = SliceClassificationMetric(out_file=tmp_path / 'predictions.json')
    samples = [SliceDataSample(metainfo=dict(task=SEGMENTATION))]
    assert evaluate(metric, samples, meta=None) == {}
    assert metric.predictions == [] and metric.report is None
    assert any('no classification scores' in line for line in log)
    assert not list(tmp_path.iterdir())


def test_results_do_not_leak_into_the_next_evaluation():
    metric = SliceClassificationMetric()
    evaluate(metric, [slice_sample(0, one_hot(1))])
    assert evaluate(metric, [slice_sample(0, one_hot(0))])['slice/accuracy'] == 1
    assert len(metric.predictions) == 1


def test_half_precision_scores():
    scores = evaluate(SliceClassificationMetric(), [slice_sample(2, one_hot(2).to(torch.bfloat16))])
    assert scores['slice/sensitivity_COVID-19'] == 1


@pytest.mark.parametrize(
    'sample, meta, message',
    [
        (slice_sample(0, [0.5, 0.2], 4), META, '4.png: the model predicts 2 probabilities'),
        (slice_sample(3, [0.5, 0.2, 0.1], 4), META, '4.png: label 3'),
        (slice_sample(0, [0.5, float('nan'), 0.1], 4), META, '4.png: .*finite'),
        (slice_sample(0, [0.5, 0.2, 0.1]), None, 'slice_classes'),
    ],
)
def test_bad_samples(sample, meta, message):
    with pytest.raises(ValueError, match=message):
        evaluate(SliceClassificationMetric(), [sample], meta)


def test_unclassified_slice_is_named():
    sample = slice_sample(0, [0.5, 0.2, 0.1], 4)
    del sample.pred_slice
    with pytest.raises(ValueError, match="4.png: .*'pred_slice'"):
        evaluate(SliceClassificationMetric(), [sample])


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(class_weights='equal'), "'share'"),
        (dict(class_weights=(0.5, 0.6)), 'sum to 1'),
        (dict(class_names=('a', 'b'), class_weights=(0.5, 0.3, 0.2)), 'as many'),
        (dict(class_names=('a', 'a')), 'distinct'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SliceClassificationMetric(**kwargs)


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(class_names=('a', 'b', 'c')), 'class_names .* has 3 entries, .* 2 classes'),
        (dict(class_weights=(0.5, 0.3, 0.2)), 'class_weights .* has 3 entries, .* 2 classes'),
    ],
)
def test_class_mismatch_is_reported_before_the_test(options, words):
    """A runner passes the meta information when it builds its loop, before the first slice."""
    with pytest.raises(ValueError, match=words):
        Evaluator(SliceClassificationMetric(**options)).dataset_meta = dict(slice_classes=('x', 'y'))
    Evaluator(SliceClassificationMetric(**options)).dataset_meta = dict(slice_classes=('x', 'y', 'z'))
