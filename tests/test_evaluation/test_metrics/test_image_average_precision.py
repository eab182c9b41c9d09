"""The registered metric of the paper: recorded values through data samples, mixed tasks, bad samples."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmaffinity.evaluation.metrics import ImageAveragePrecision, LesionCocoMetric
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION, SliceDataSample


def lesion_sample(gt_rles, pred_masks, scores, name='a.png', size=(512, 512), labels=None):
    instances = [dict(bbox=[0, 0, 1, 1], bbox_label=0, mask=rle, ignore_flag=0) for rle in gt_rles]
    sample = SliceDataSample(
        metainfo=dict(task=SEGMENTATION, img_path=name, patient_id='1', scan_id=None, ori_shape=size, instances=instances)
    )
    labels = torch.zeros(len(scores), dtype=torch.long) if labels is None else torch.as_tensor(labels)
    sample.pred_instances = InstanceData(
        bboxes=torch.zeros(len(scores), 4), labels=labels, scores=torch.as_tensor(scores), masks=pred_masks
    )
    return sample


def square(start, stop, size=16):
    mask = np.zeros((size, size), dtype=bool)
    mask[start:stop, start:stop] = True
    return mask


def small_sample(**kwargs):
    """One lesion, found exactly at score 0.6, after a false alarm at 0.9."""
    gt = coco_mask.encode(np.asfortranarray(square(2, 8), dtype=np.uint8))
    masks = torch.from_numpy(np.stack([square(10, 14), square(2, 8)]))
    return lesion_sample([gt], masks, [0.9, 0.6], size=(16, 16), **kwargs)


@pytest.mark.parametrize('form', ['tensor', 'rle'])
def test_golden_values_through_data_samples(shared_dir, form):
    golden = json.loads((shared_dir / 'reference' / 'golden_ap.json').read_text())
    samples = [SliceDataSample(metainfo=dict(task=CLASSIFICATION))]
    for image in golden['images']:
        masks = [coco_mask.decode(rle) for rle in image['pred']]
        masks = torch.from_numpy(np.stack(masks) if masks else np.zeros((0, 512, 512))).bool()
        samples.append(
            lesion_sample(image['gt'], masks if form == 'tensor' else image['pred'], image['scores'], image['image'])
        )
    metric = METRICS.build(dict(type='ImageAveragePrecision'))
    scores = Evaluator(metric).offline_evaluate(samples, chunk_size=3)
    assert scores == pytest.approx({f'lesion/{name}': value for name, value in golden['expected'].items()}, abs=1e-5)
    for image, result in zip(golden['images'], metric.per_image):
        assert (result['img_path'], result['num_gt'], result['num_pred']) == (
            image['image'],
            len(image['gt']),
            len(image['pred']),
        )
        assert result['ap'] == pytest.approx(image['ap'], abs=1e-5)
    json.dumps(metric.per_image)


def test_polygons_and_ignored_instances():
    sample = small_sample()
    polygon = [[2, 2, 8, 2, 8, 8, 2, 8]]
    instances = [dict(sample.instances[0], mask=polygon), dict(bbox=[0, 0, 16, 16], bbox_label=0, ignore_flag=1)]
    sample.set_field(instances, 'instances', field_type='metainfo')
    metric = ImageAveragePrecision(prefix='p')
    assert Evaluator(metric).offline_evaluate([sample]) == pytest.approx({'p/AP50': 0.5, 'p/AP75': 0.5, 'p/mAP': 0.5})
    assert metric.per_image[0]['num_gt'] == 1


@pytest.mark.parametrize('label, expected', [(0, 1.0), (1, 0.5)])
def test_a_false_alarm_on_a_crowd_region_of_its_class_does_not_count(label, expected):
    """As in COCO's own evaluation; the false alarm is (10, 10) to (14, 14), the crowd twice as wide."""
    sample = small_sample()
    crowd = dict(bbox=[6, 6, 16, 16], bbox_label=label, ignore_flag=1, mask=[[6, 6, 16, 6, 16, 16, 6, 16]])
    sample.set_field([*sample.instances, crowd], 'instances', field_type='metainfo')
    metric = ImageAveragePrecision()
    assert Evaluator(metric).offline_evaluate([sample])['lesion/mAP'] == expected
    assert metric.per_image[0]['num_gt'] == 1
    if not label:
        sample.pred_instances.bboxes = torch.tensor([[10.0, 10, 14, 14], [2, 2, 8, 8]])
        sample.instances[0]['bbox'] = [2, 2, 8, 8]
        assert Evaluator(LesionCocoMetric(metric='segm')).offline_evaluate([sample])['coco/segm_mAP'] == pytest.approx(1)


def test_predictions_of_another_class_do_not_match():
    scores = Evaluator(ImageAveragePrecision()).offline_evaluate([small_sample(labels=[0, 1])])
    assert scores['lesion/mAP'] == 0


def test_no_masks_at_all_is_an_empty_prediction():
    sample = lesion_sample([], torch.zeros(0, 16, 16, dtype=torch.bool), [], size=(16, 16))
    del sample.pred_instances.masks
    assert Evaluator(ImageAveragePrecision()).offline_evaluate([sample])['lesion/mAP'] == 1


def test_run_without_lesion_slices():
    metric = ImageAveragePrecision()
    samples = [SliceDataSample(metainfo=dict(task=CLASSIFICATION, instances=[]))]
    assert Evaluator(metric).offline_evaluate(samples) == {}
    assert metric.per_image == []


def test_only_scores_are_kept_in_memory():
    metric = ImageAveragePrecision()
    metric.process(None, [small_sample().to_dict()])
    assert len(json.dumps(metric.results)) < 1000


def without_masks(sample):
    del sample.pred_instances.masks


def without_predictions(sample):
    del sample.pred_instances


def without_annotation(sample):
    sample.set_field(None, 'instances', field_type='metainfo')


def without_gt_mask(sample):
    sample.set_field([dict(bbox=[0, 0, 1, 1], bbox_label=0)], 'instances', field_type='metainfo')


def with_smaller_masks(sample):
    sample.pred_instances.masks = torch.zeros(2, 8, 8, dtype=torch.bool)


def with_soft_masks(sample):
    sample.pred_instances.masks = torch.rand(2, 16, 16)


@pytest.mark.parametrize(
    'spoil, message',
    [
        (without_masks, "2 predicted objects without 'masks'"),
        (without_predictions, "no 'pred_instances'"),
        (without_annotation, "no 'instances'"),
        (without_gt_mask, 'lesion 0 has no mask'),
        (with_smaller_masks, 'differ in .height, width.'),
        (with_soft_masks, 'boolean'),
    ],
)
def test_bad_samples_name_the_image(spoil, message):
    sample = small_sample()
    spoil(sample)
    with pytest.raises(ValueError, match=f'a.png: .*{message}'):
        Evaluator(ImageAveragePrecision()).offline_evaluate([sample])
