"""Lesions from the mean of several views."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from model_helpers import SIZE, build_model, images, model_config, slice_sample

from mmaffinity.deployment.slice_graph import SliceGraph
from mmaffinity.models import MultiViewMaskRCNN
from mmaffinity.models.detectors.averaged_views import View, predict_views

pytestmark = pytest.mark.usefixtures('one_thread')

FOUR = [dict(flip=True), dict(shift=True), dict(flip=True, shift=True)]


@pytest.fixture(scope='module')
def model():
    return build_model().eval()


def inputs(model, num=2):
    samples = [slice_sample(scale_factor=(0.5, 0.5), ori_shape=(2 * SIZE, 2 * SIZE)) for _ in range(num)]
    return model.data_preprocessor(dict(inputs=images(num, seed=4), data_samples=samples))


@torch.no_grad()
def detect(model, views, x=None, proposals=None, rescale=True):
    data = inputs(model)
    x = data['inputs'] if x is None else x
    features = model.extract_feat(x)
    proposals = model._propose(features, data['data_samples']) if proposals is None else proposals
    return predict_views(model, views, x, features, proposals, data['data_samples'], rescale)


@torch.no_grad()
def predict(model):
    data = inputs(model)
    return model.predict(data['inputs'], data['data_samples'])


@pytest.mark.parametrize('view', [View(), View(flip=True), View(shift=8), View(flip=True, shift=8)])
def test_boxes_of_a_view_show_the_same_pixels(view):
    x = torch.rand(1, 1, 40, 60)
    box = torch.tensor([[3.0, 5.0, 20.0, 31.0]])
    (mapped,) = view.boxes(box, 60).long().tolist()
    there = view.slices(x)[..., mapped[1] : mapped[3], mapped[0] : mapped[2]]
    torch.testing.assert_close(view.original_masks(there), x[..., 5:31, 3:20], rtol=0, atol=0)
    torch.testing.assert_close(view.original_boxes(view.boxes(box, 60), 60), box)


def two_classes():
    """A model of two lesion classes, both of which it finds."""
    classes = {f'roi_head.{head}.num_classes': 2 for head in ('bbox_head', 'mask_head')}
    model = build_model({**classes, 'roi_head.bbox_head.type': 'Shared2FCBBoxHead'}).eval()
    with torch.no_grad():
        weight = model.roi_head.bbox_head.fc_cls.weight
        weight[1] = 1.01 * weight[0]
    return model


@pytest.mark.parametrize('views', [[], [View()]])
@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('build', [build_model, two_classes])
def test_the_original_alone_predicts_as_without_views(build, views, rescale):
    model = build().eval()
    data = inputs(model)
    with torch.no_grad():
        x = model.extract_feat(data['inputs'])
        samples = data['data_samples']
        expected = model.roi_head.predict(x, model._propose(x, samples), samples, rescale=rescale)
    assert len({label for result in expected for label in result.labels.tolist()}) == model.roi_head.bbox_head.num_classes
    for found, wanted in zip(detect(model, views, rescale=rescale), expected, strict=True):
        assert len(found) == len(wanted) > 0
        torch.testing.assert_close(found.bboxes, wanted.bboxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.scores, wanted.scores)
        assert torch.equal(found.labels, wanted.labels)
        assert (found.masks != wanted.masks).float().mean() < 1e-4


def test_original_and_mirror_image_have_mirrored_lesions(model):
    x = inputs(model)['inputs']
    with torch.no_grad():
        proposals = model._propose(model.extract_feat(x), inputs(model)['data_samples'])
    mirrored = [InstanceData(bboxes=View(flip=True).boxes(result.bboxes, SIZE)) for result in proposals]
    there = detect(model, [View(flip=True)], x.flip(-1), mirrored, rescale=False)
    for found, wanted in zip(there, detect(model, [View(flip=True)], x, proposals, rescale=False), strict=True):
        assert len(found) == len(wanted) > 0
        torch.testing.assert_close(View(flip=True).boxes(found.bboxes, SIZE), wanted.bboxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.scores, wanted.scores)
        assert (found.masks.flip(-1) != wanted.masks).float().mean() < 1e-3


def test_views_change_lesions_but_not_the_class(model):
    plain, averaged = predict(model), predict(build_model({'test_cfg.views': FOUR}).eval())
    for one, other in zip(plain, averaged, strict=True):
        assert torch.equal(one.pred_slice.logits, other.pred_slice.logits)
        assert other.pred_instances.masks.shape[1:] == (2 * SIZE, 2 * SIZE)
        assert len(one.pred_instances) != len(other.pred_instances) or not torch.equal(
            one.pred_instances.scores, other.pred_instances.scores
        )
        boxes = other.pred_instances.bboxes
        assert (boxes >= 0).all() and (boxes <= 2 * SIZE).all()


def test_a_shift_is_half_of_the_stride():
    assert build_model({'test_cfg.views': FOUR}).views == [View(True, 0), View(False, 8), View(True, 8)]


def test_slices_without_lesions():
    model = build_model({'test_cfg.views': FOUR, 'test_cfg.rcnn.score_thr': 0.9999})
    for sample in predict(model.eval()):
        assert sample.pred_instances.masks.shape == (0, 2 * SIZE, 2 * SIZE)


def test_mask_rcnn():
    config = model_config({'test_cfg.views': FOUR})
    parts = ('bbox_roi_extractor', 'bbox_head', 'mask_roi_extractor', 'mask_head')
    config.type, config.roi_head = (
        'MultiViewMaskRCNN',
        dict(type='StandardRoIHead', **{part: config.roi_head[part] for part in parts}),
    )
    model = MODELS.build(config).eval()
    assert type(model) is MultiViewMaskRCNN and len(model.views) == 3
    both = build_model({'test_cfg.views': FOUR}).eval()
    model.load_state_dict({name: value for name, value in both.state_dict().items() if name in model.state_dict()})
    for one, other in zip(predict(model), predict(both), strict=True):
        assert torch.equal(one.pred_instances.scores, other.pred_instances.scores)
        assert torch.equal(one.pred_instances.masks, other.pred_instances.masks)


@pytest.mark.parametrize(
    'views', [['flip'], [dict(rotate=True)], [dict(flip=1.5)], [dict(flip=False)], [{}], 3, dict(flip=True)]
)
def test_invalid_views_are_refused(views):
    with pytest.raises(ValueError, match='views of test_cfg must be a list such as'):
        build_model({'test_cfg.views': views})


def test_models_with_views_are_not_exported():
    with pytest.raises(ValueError, match='views'):
        SliceGraph(build_model({'test_cfg.views': FOUR}).eval(), SIZE, SIZE)
