"""The loss of all slice heads against an explicit Eq. 9, and what their predictions contain."""

import math

import pytest
import torch
from mmdet.registry import MODELS
from model_helpers import slice_sample

from mmaffinity.models import BaseSliceHead
from mmaffinity.models.cls_heads import fc_layers
from mmaffinity.structures import RankedRoIs

BETA, K = 5, 3


@MODELS.register_module()
class FixedLogitsHead(BaseSliceHead):
    """A slice head that reads the boxes' scores only and returns logits that the test sets."""

    logits = torch.zeros(1, K)

    def forward(self, rois):
        return dict(logits=self.logits + 0 * rois.scores.sum())


def rois(num):
    generator = torch.Generator().manual_seed(1)
    return RankedRoIs(
        boxes=torch.rand(num, BETA, 4, generator=generator),
        scores=torch.rand(num, BETA, generator=generator).sort(1, descending=True).values,
        deltas=torch.rand(num, BETA, 4, generator=generator),
    )


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
def test_loss_is_equation_9(reduction):
    logits = torch.tensor([[2.5, -1.0, 0.3], [-80.0, 90.0, 0.0], [1e-3, 4.0, -3.0]])
    labels = [0, 2, 1]
    fixed = FixedLogitsHead(K, BETA, class_reduction=reduction)
    fixed.logits = logits
    expected = 0.0
    for row, label in zip(logits.tolist(), labels):
        for k, logit in enumerate(row):
            # -log sigmoid(l) for the slice's class, -log(1 - sigmoid(l)) for the others; log1p keeps 80 and 90 finite.
            signed = logit if k == label else -logit
            expected += math.log1p(math.exp(-signed)) if signed > 0 else -signed + math.log1p(math.exp(signed))
    expected /= 3 * (K if reduction == 'mean' else 1)
    losses = fixed.loss(rois(3), [slice_sample(label) for label in labels])
    assert losses['loss_slice'].item() == pytest.approx(expected, rel=1e-6)
    assert losses['slice_acc'].item() == pytest.approx(100 * 2 / 3)


def test_gradient_of_the_loss():
    fixed = FixedLogitsHead(K, BETA)
    fixed.logits = torch.tensor([[2.5, -1.0, 0.3]], requires_grad=True)
    fixed.loss(rois(1), [slice_sample(1)])['loss_slice'].backward()
    expected = (torch.tensor([[2.5, -1.0, 0.3]]).sigmoid() - torch.tensor([[0.0, 1.0, 0.0]])) / K
    torch.testing.assert_close(fixed.logits.grad, expected)


def test_two_classes():
    fixed = FixedLogitsHead(2, BETA)
    fixed.logits = torch.zeros(1, 2)
    assert fixed.loss(rois(1), [slice_sample(1)])['loss_slice'].item() == pytest.approx(math.log(2))


def test_a_head_without_mask_features():
    fixed = FixedLogitsHead(K, BETA)
    prediction = fixed.predict(rois(1))[0]
    assert set(prediction.keys()) == {'label', 'score', 'logits', 'roi_boxes', 'roi_scores'}


def test_label_is_correct_if_probabilities_tie():
    fixed = FixedLogitsHead(K, BETA)
    fixed.logits = torch.tensor([[30.0, 60.0, 5.0], [-200.0, -150.0, -120.0]])
    first, second = fixed.predict(rois(2))
    assert first.score[0] == first.score[1] == 1 and (second.score[:2] == 0).all()
    assert first.label.tolist() == [1] and second.label.tolist() == [2]


def test_classifier_without_hidden_layers():
    layers = fc_layers(5, (), 2)
    assert len(layers) == 1 and layers[0].weight.shape == (2, 5)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_classes=1), 'num_classes of .* must be at least 2, not 1'),
        (dict(num_rois=0), 'num_rois must be at least 1, not 0'),
        (dict(class_reduction='none'), "class_reduction must be one of .*, not 'none'"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FixedLogitsHead(**{'num_classes': K, 'num_rois': BETA, **kwargs})


def test_labels_without_a_class_are_rejected():
    fixed = FixedLogitsHead(K, BETA)
    with pytest.raises(ValueError, match='slice label 3 of slice.png is out of range for a cls_head with 3 classes'):
        fixed.loss(rois(1), [slice_sample(3)])
    with pytest.raises(ValueError, match='slice label -1'):
        fixed.loss(rois(1), [slice_sample(-1)])
