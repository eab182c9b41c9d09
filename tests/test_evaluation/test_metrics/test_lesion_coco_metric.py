"""COCO AP from samples against pycocotools on files."""
import json

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmaffinity.evaluation import LesionCocoMetric
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION, SliceDataSample

SIZE = (160, 120)
STATS = {'mAP': 0, 'mAP_50': 1, 'mAP_75': 2, 'mAP_s': 3, 'mAP_m': 4, 'mAP_l': 5}


def rectangle(rng):
    top, left = rng.integers(0, 60, 2)
    height, width = rng.integers(10, 60, 2)
    mask = np.zeros(SIZE, dtype=bool)
    mask[top:top + height, left:left + width] = True
    return mask


def box_of(mask):
    ys, xs = np.nonzero(mask)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


def xywh(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def encode(mask):
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {**rle, 'counts': rle['counts'].decode()}


def random_run(seed=0, num_images=12, num_classes=2):
    """Samples, and the same ground truth and results as COCO's JSON would hold them."""
    rng = np.random.default_rng(seed)
    samples, images, annotations, results = [], [], [], []
    for image_id in range(1, num_images + 1):
        images.append(dict(id=image_id, height=SIZE[0], width=SIZE[1]))
        masks = [rectangle(rng) for _ in range(rng.integers(0, 5))]
        instances = [dict(bbox=box_of(mask), bbox_label=int(rng.integers(num_classes)), mask=encode(mask),
                          ignore_flag=int(rng.random() < .15)) for mask in masks]
        for mask, instance in zip(masks, instances):
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, category_id=instance['bbox_label'],
                                    iscrowd=instance['ignore_flag'], bbox=xywh(instance['bbox']),
                                    segmentation=instance['mask'], area=int(mask.sum())))
        preds = [np.roll(mask, rng.integers(-4, 5), axis=1) for mask in masks if rng.random() < .8]
        preds += [rectangle(rng) for _ in range(rng.integers(0, 3))]
        labels, scores = rng.integers(0, num_classes, len(preds)), rng.random(len(preds)).astype(np.float32)
        for mask, label, score in zip(preds, labels, scores):
            results.append(dict(image_id=image_id, category_id=int(label), score=float(score), bbox=xywh(box_of(mask)),
                                segmentation=encode(mask)))
        sample = SliceDataSample(metainfo=dict(task=SEGMENTATION, img_id=image_id, img_path=f'{image_id}.png',
                                               ori_shape=SIZE, instances=instances))
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([box_of(mask) for mask in preds], dtype=torch.float32).reshape(-1, 4),
            labels=torch.from_numpy(labels), scores=torch.from_numpy(scores),
            masks=torch.from_numpy(np.array(preds).reshape(-1, *SIZE)).bool())
        samples.append(sample)
    ground_truth = dict(images=images, annotations=annotations,
                        categories=[dict(id=c, name=f'class {c}') for c in range(num_classes)])
    return samples, ground_truth, results


def clear_predictions(samples):
    for sample in samples:
        sample.pred_instances = sample.pred_instances[:0]
    return samples


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
    expected = {f'coco/{iou_type}_{name}': evaluation.stats[row] for name, row in STATS.items()
                if evaluation.stats[row] > -1}
    samples.insert(3, SliceDataSample(metainfo=dict(task=CLASSIFICATION)))
    metric = METRICS.build(dict(type='LesionCocoMetric', metric=iou_type))
    scores = Evaluator(metric).offline_evaluate(samples, chunk_size=4)
    assert scores == pytest.approx(expected, abs=1e-12)
    assert 0 < scores[f'coco/{iou_type}_mAP'] < 1


def test_both_overlaps_silently_and_without_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    scores = Evaluator(LesionCocoMetric()).offline_evaluate(random_run()[0])
    assert {name.split('_')[0] for name in scores} == {'coco/bbox', 'coco/segm'}
    assert 'Accumulating' not in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_equal_image_ids_of_two_data_sets_stay_apart():
    samples, _, _ = random_run()
    once = Evaluator(LesionCocoMetric()).offline_evaluate(samples)
    twin = clear_predictions(random_run()[0])
    both = Evaluator(LesionCocoMetric()).offline_evaluate(samples + twin)
    assert both['coco/segm_mAP'] < .7 * once['coco/segm_mAP']


def test_no_predictions_give_zeros():
    scores = Evaluator(LesionCocoMetric()).offline_evaluate(clear_predictions(random_run()[0]))
    assert scores['coco/bbox_mAP'] == scores['coco/segm_mAP_50'] == 0
    assert set(scores.values()) == {0.0}


def test_no_lesions_give_nothing():
    samples = random_run()[0]
    for sample in samples:
        sample.set_field([], 'instances', field_type='metainfo')
    assert Evaluator(LesionCocoMetric()).offline_evaluate(samples) == {}
    assert Evaluator(LesionCocoMetric()).offline_evaluate([SliceDataSample(metainfo=dict(task=CLASSIFICATION))]) == {}


def test_boxes_need_no_masks():
    samples = random_run()[0]
    expected = Evaluator(LesionCocoMetric('bbox')).offline_evaluate(samples)['coco/bbox_mAP']
    for sample in samples:
        del sample.pred_instances.masks
    assert Evaluator(LesionCocoMetric('bbox')).offline_evaluate(samples)['coco/bbox_mAP'] == expected
    with pytest.raises(ValueError, match="without 'masks'"):
        Evaluator(LesionCocoMetric()).offline_evaluate(samples)


def test_scores_must_be_finite():
    samples = [sample for sample in random_run()[0] if len(sample.pred_instances)]
    samples[0].pred_instances.scores[0] = float('nan')
    with pytest.raises(ValueError, match='png: .*finite'):
        Evaluator(LesionCocoMetric()).offline_evaluate(samples)


@pytest.mark.parametrize('metric', ['proposal', ['segm', 'keypoints'], []])
def test_bad_metric(metric):
    with pytest.raises(ValueError, match="'bbox', 'segm' or both"):
        LesionCocoMetric(metric)
