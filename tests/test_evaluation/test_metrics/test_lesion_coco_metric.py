"""COCO AP from samples against pycocotools on files."""

import json

import pytest
from coco_helpers import clear_predictions, evaluate, random_run
from mmdet.registry import METRICS
from mmengine.evaluator import Evaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmaffinity.evaluation.metrics import LesionCocoMetric
from mmaffinity.structures import CLASSIFICATION, SliceDataSample

STATS = {'mAP': 0, 'mAP_50': 1, 'mAP_75': 2, 'mAP_s': 3, 'mAP_m': 4, 'mAP_l': 5}


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
@pytest.mark.parametrize('seed', range(3))
def test_equals_pycocotools_on_files(tmp_path, iou_type, seed):
    samples, ground_truth, results = random_run(seed)
    (tmp_path / 'gt.json').write_text(json.dumps(ground_truth))
    if iou_type == 'segm':
        results = [{key: value for key, value in result.items() if key != 'bbox'} for result in results]
    (tmp_path / 'dt.json').write_text(json.dumps(results))
    coco = COCO(str(tmp_path / 'gt.json'))
    evaluation = COCOeval(coco, coco.loadRes(str(tmp_path / 'dt.json')), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    expected = {f'coco/{iou_type}_{name}': evaluation.stats[row] for name, row in STATS.items() if evaluation.stats[row] > -1}
    samples.insert(3, SliceDataSample(metainfo=dict(task=CLASSIFICATION)))
    metric = METRICS.build(dict(type='LesionCocoMetric', metric=iou_type))
    scores = Evaluator(metric).offline_evaluate(samples, chunk_size=4)
    assert scores == pytest.approx(expected, abs=1e-12)
    assert 0 < scores[f'coco/{iou_type}_mAP'] < 1


def test_both_overlaps_silently_and_without_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    scores = evaluate(random_run()[0])
    assert {name.split('_')[0] for name in scores} == {'coco/bbox', 'coco/segm'}
    assert 'Accumulating' not in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_equal_image_ids_of_two_data_sets_stay_separate():
    samples, _, _ = random_run()
    once = evaluate(samples)
    twin = clear_predictions(random_run()[0])
    both = evaluate(samples + twin)
    assert both['coco/segm_mAP'] < 0.7 * once['coco/segm_mAP']


def test_no_predictions_give_zeros():
    scores = evaluate(clear_predictions(random_run()[0]))
    assert scores['coco/bbox_mAP'] == scores['coco/segm_mAP_50'] == 0
    assert set(scores.values()) == {0.0}


def test_no_lesions_give_nothing():
    samples = random_run()[0]
    for sample in samples:
        sample.set_field([], 'instances', field_type='metainfo')
    assert evaluate(samples) == {}
    assert evaluate([SliceDataSample(metainfo=dict(task=CLASSIFICATION))]) == {}


def test_boxes_need_no_masks():
    samples = random_run()[0]
    expected = evaluate(samples, 'bbox')['coco/bbox_mAP']
    for sample in samples:
        del sample.pred_instances.masks
    assert evaluate(samples, 'bbox')['coco/bbox_mAP'] == expected
    with pytest.raises(ValueError, match="without 'masks'"):
        evaluate(samples)


def test_scores_must_be_finite():
    samples = [sample for sample in random_run()[0] if len(sample.pred_instances)]
    samples[0].pred_instances.scores[0] = float('nan')
    with pytest.raises(ValueError, match='png: .*finite'):
        evaluate(samples)


@pytest.mark.parametrize('metric', ['keypoints', ['segm', 'keypoints']])
def test_unknown_metric(metric):
    for kind in (ValueError, KeyError):  # ours, and MMDetection's
        with pytest.raises(kind, match="^metric must be one of .*'proposal_fast'.*, not 'keypoints'$"):
            LesionCocoMetric(metric=metric)


def test_no_metric():
    with pytest.raises(ValueError, match=r'must be one or more of .*, not \[\]'):
        LesionCocoMetric(metric=[])
