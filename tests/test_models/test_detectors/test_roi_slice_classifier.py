"""A slice head on its own: the same results as within a detector, and its frozen parts."""

import pytest
import torch
from mmdet.registry import MODELS
from model_helpers import slice_sample

from mmaffinity.models import RoISliceClassifier
from mmaffinity.structures import RankedRoIs

HEAD = dict(type='SingleShotClsHead', num_classes=3, num_rois=4, fc_channels=(6, 5))


@pytest.fixture
def model():
    torch.manual_seed(0)
    found = RoISliceClassifier(
        dict(cls_head=HEAD, type='ignored', mask_head=None), frozen_parts=['roi_head.cls_head.classifier.0']
    )
    found.init_weights()
    return found


@pytest.fixture
def inputs():
    """Stored RoIs of two slices: a list of one tensor per slice for each field."""
    generator = torch.Generator().manual_seed(1)
    shapes = dict(boxes=(4, 4), scores=(4,), deltas=(4, 4))
    return {name: [torch.rand(shape, generator=generator) for _ in range(2)] for name, shape in shapes.items()}


def test_results_are_those_of_the_head(model, inputs):
    head = MODELS.build(HEAD)
    head.load_state_dict({name.removeprefix('roi_head.cls_head.'): value for name, value in model.state_dict().items()})
    rois = RankedRoIs(*(torch.stack(inputs[name]) for name in ('boxes', 'scores', 'deltas')))
    samples = [slice_sample(0), slice_sample(2)]
    assert torch.equal(model(inputs, samples)['logits'], head(rois)['logits'])
    assert model(inputs, samples, mode='loss') == head.loss(rois, samples)
    predicted = model(inputs, samples, mode='predict')
    for sample, given, expected in zip(predicted, samples, head.predict(rois)):
        assert sample is given and torch.equal(sample.pred_slice.logits, expected.logits)
        assert torch.equal(sample.pred_slice.roi_boxes, expected.roi_boxes)


def test_frozen_parts_are_not_trained(model, inputs):
    model(inputs, [slice_sample(0), slice_sample(2)], mode='loss')['loss_slice'].backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {f'roi_head.cls_head.classifier.{layer}.{kind}' for layer in (2, 4) for kind in ('weight', 'bias')}
    with pytest.raises(ValueError, match="frozen_parts names 'affinity', which the model does not have"):
        RoISliceClassifier(dict(cls_head=HEAD), ['affinity'])


def test_unknown_mode_is_rejected(model, inputs):
    with pytest.raises(ValueError, match="mode must be 'loss', 'predict' or 'tensor', not 'test'"):
        model(inputs, [slice_sample(), slice_sample()], mode='test')
