"""One pass of the box head for both branches, against one pass each; and what tensor mode returns."""

import copy

import pytest
import torch
from model_helpers import batch, build_model, lesion_sample, slice_sample


@torch.no_grad()
@pytest.mark.parametrize('copied', [True, False])
def test_same_predictions(copied):
    models = [build_model({'roi_head.type': kind}).eval() for kind in ('AffinityRoIHead', 'FastAffinityRoIHead')]
    if not copied:  # between the copies of a schedule with copy='best'
        for model in models:
            model.roi_head.classification_branch.bbox_head.fc_cls.bias[0] += 1
    passes = []
    models[1].roi_head.bbox_roi_extractor.register_forward_hook(lambda *args: passes.append(1))
    data = batch(slice_sample(), lesion_sample())
    plain, fast = (model.test_step(copy.deepcopy(data)) for model in models)
    assert len(passes) == 1
    for ours, theirs in zip(fast, plain):
        torch.testing.assert_close(ours.pred_slice.logits, theirs.pred_slice.logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.pred_slice.roi_boxes, theirs.pred_slice.roi_boxes, rtol=1e-5, atol=1e-4)
        assert len(ours.pred_instances) == len(theirs.pred_instances) > 0
        torch.testing.assert_close(ours.pred_instances.bboxes, theirs.pred_instances.bboxes, rtol=1e-5, atol=1e-4)
        assert torch.equal(ours.pred_instances.masks, theirs.pred_instances.masks)


@torch.no_grad()
@pytest.mark.parametrize('kind', ['AffinityRoIHead', 'FastAffinityRoIHead'])
def test_tensor_mode_includes_the_classification(kind):
    """Counters of operations and exporters run this mode."""
    model = build_model({'roi_head.type': kind}).eval()
    data = model.data_preprocessor(batch(slice_sample(), lesion_sample()))
    logits = model(**data, mode='tensor')[-1][-1]
    expected = torch.stack([sample.pred_slice.logits for sample in model(**data, mode='predict')])
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
