"""Slice labels and predictions in data samples, and the task of a batch."""

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from model_helpers import lesion_sample, slice_sample

from mmaffinity.structures import CLASSIFICATION, SEGMENTATION, RankedRoIs, SliceDataSample, batch_task


def test_slice_fields_are_set_read_and_deleted():
    sample = SliceDataSample()
    for name in ('gt_slice', 'pred_slice'):
        assert name not in sample
        element = BaseDataElement(label=torch.tensor([1]))
        setattr(sample, name, element)
        assert name in sample and getattr(sample, name) is element
        delattr(sample, name)
        assert name not in sample


def test_other_types_are_rejected():
    for name in ('gt_slice', 'pred_slice'):
        with pytest.raises(AssertionError):
            setattr(SliceDataSample(), name, torch.tensor([1]))


def test_it_is_a_detection_sample_too():
    sample = lesion_sample()
    sample.pred_instances = InstanceData(scores=torch.zeros(2))
    sample.pred_slice = BaseDataElement(label=torch.tensor([1]), score=torch.rand(3))
    content = sample.to_dict()
    assert len(content['gt_instances']['bboxes']) == 3 and content['task'] == 'segmentation'
    assert torch.equal(content['pred_slice']['label'], torch.tensor([1]))
    assert set(sample.clone().keys()) == {'gt_instances', 'pred_instances', 'pred_slice'}
    assert sample.to(torch.float64).pred_slice.score.dtype == torch.float64


def test_task_of_a_batch():
    assert batch_task([lesion_sample(), lesion_sample()]) == SEGMENTATION
    assert batch_task([slice_sample()]) == CLASSIFICATION


@pytest.mark.parametrize(
    'samples',
    [
        [slice_sample(), lesion_sample()],
        [SliceDataSample(metainfo=dict(img_path='slice.png'))],
        [slice_sample(task='detection')],
        [],
    ],
)
def test_batches_with_mixed_or_missing_tasks(samples):
    with pytest.raises(ValueError, match='must have one task.*AlternatingBatchSampler') as error:
        batch_task(samples)
    assert not samples or 'slice.png' in str(error.value)


def test_ranked_rois_need_no_mask_features():
    assert RankedRoIs(torch.zeros(1, 8, 4), torch.zeros(1, 8), torch.zeros(1, 8, 4)).mask_features is None
