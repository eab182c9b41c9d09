"""Test-time augmentation: lesions from the mean of several views."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from model_helpers import SIZE, build_model, images, model_config, slice_sample

from mmaffinity.deployment.slice_graph import SliceGraph
from mmaffinity.models import TTAMaskRCNN
from mmaffinity.models.detectors.tta import View, predict_views

pytestmark = pytest.mark.usefixtures('one_thread')

FOUR = [dict(flip=True), dict(shift=True), dict(flip=True, shift=True)]


@pytest.fixture(scope='module')
def model():
    return build_model().eval()


def inputs(model, num=2):
    samples = [slice_sample(scale_factor=(0.5, 0.5), ori_shape=(2 * SIZE, 2 * SIZE)) for _ in range(num)]
    return model.data_preprocessor(dict(inputs=images(num, seed=4), data_samples=samples))


@torch.no_grad()
def detect(model, views, x=None, proposals=None, rescale=True, samples=None):
    data = inputs(model)
    samples = data['data_samples'] if samples is None else samples
    x = data['inputs'] if x is None else x
    features = model.extract_feat(x)
    proposals = model._propose(features, samples) if proposals is None else proposals
    return predict_views(model, views, x, features, proposals, samples, rescale)


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


@torch.no_grad()
def test_the_mean_by_hand():
    """On padded slices of 96 x 112 pixels in a batch of 96 x 160, with proposals at their borders."""
    model = build_model({'test_cfg.rcnn.score_thr': 0.0, 'test_cfg.rcnn.nms.iou_threshold': 1.0}).eval()
    head, width, slice_width, shift = model.roi_head, 160, 112, 8
    x = torch.rand(2, 1, 96, width, generator=torch.Generator().manual_seed(1))
    samples = [slice_sample(img_shape=(96, slice_width), ori_shape=(96, slice_width)) for _ in range(2)]
    some = torch.tensor([[0.0, 0, 30, 30], [60, 50, 112, 96], [20, 30, 90, 80], [90, 0, 140, 40]])
    proposals = [InstanceData(bboxes=some), InstanceData(bboxes=some.flip(0))]
    found = detect(model, [View(flip=True), View(shift=shift), View(True, shift)], x, proposals, False, samples)
    for index, result in enumerate(found):
        all_boxes, all_scores = [], []
        for flip in (False, True):
            for extra in (0, shift):
                picture = x[index : index + 1].flip(-1) if flip else x[index : index + 1]
                picture = torch.nn.functional.pad(picture, [extra] * 4, mode='replicate')
                boxes = proposals[index].bboxes.clone()
                if flip:
                    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
                rois = torch.cat([torch.zeros(len(boxes), 1), boxes + extra], 1)
                scores, deltas = head.bbox_head(head.extract_boxes(model.extract_feat(picture), rois))
                size = (96 + 2 * extra, width + 2 * extra)
                boxes = head.bbox_head.bbox_coder.decode(rois[:, 1:], deltas, max_shape=size) - extra
                if flip:
                    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
                all_boxes.append(boxes)
                all_scores.append(scores.softmax(1)[:, 0])
        scores, order = (sum(all_scores) / 4).sort(descending=True)
        boxes = (sum(all_boxes) / 4)[order]
        boxes[:, [0, 2]] = boxes[:, [0, 2]].clamp(0, slice_width)
        boxes[:, [1, 3]] = boxes[:, [1, 3]].clamp(0, 96)
        torch.testing.assert_close(result.scores, scores)
        torch.testing.assert_close(result.bboxes, boxes, rtol=1e-4, atol=1e-3)
        assert result.masks.shape == (4, 96, slice_width)
    # A proposal beyond the right border of its slice ends there, although the batch is wider.
    assert max(result.bboxes[:, 2].max() for result in found) == slice_width


def test_views_do_not_change_the_class(model):
    plain, averaged = predict(model), predict(build_model({'test_cfg.views': FOUR}).eval())
    for one, other in zip(plain, averaged, strict=True):
        assert torch.equal(one.pred_slice.logits, other.pred_slice.logits)
        assert torch.equal(one.pred_slice.roi_boxes, other.pred_slice.roi_boxes)


@pytest.mark.parametrize('mode', ['detection', 'classification'])
def test_modes(mode):
    whole = predict(build_model({'test_cfg.views': FOUR}).eval())
    for one, other in zip(predict(build_model({'test_cfg.views': FOUR, 'test_cfg.mode': mode}).eval()), whole, strict=True):
        assert ('pred_slice' in one, 'pred_instances' in one) == (mode == 'classification', mode == 'detection')
        if mode == 'detection':
            assert torch.equal(one.pred_instances.scores, other.pred_instances.scores)


def test_a_shift_is_half_of_the_stride():
    assert build_model({'test_cfg.views': FOUR}).views == [View(True, 0), View(False, 8), View(True, 8)]


def test_one_slice_with_lesions():
    model = build_model({'test_cfg.views': FOUR}).eval()
    best = [result.scores.max().item() for result in detect(model, model.views)]
    model.roi_head.test_cfg.score_thr = sum(best) / 2
    counts = [len(result) for result in detect(model, model.views)]
    assert sorted(count > 0 for count in counts) == [False, True]
    for result, count in zip(detect(model, model.views), counts, strict=True):
        assert result.masks.shape == (count, 2 * SIZE, 2 * SIZE)


def test_slices_without_lesions():
    model = build_model({'test_cfg.views': FOUR, 'test_cfg.rcnn.score_thr': 0.9999})
    for sample in predict(model.eval()):
        assert sample.pred_instances.masks.shape == (0, 2 * SIZE, 2 * SIZE)


PARTS = ('bbox_roi_extractor', 'bbox_head', 'mask_roi_extractor', 'mask_head')


def mask_rcnn(parts=PARTS, views=FOUR, **head):
    """The config of a TTAMaskRCNN with parts of the affinity model."""
    config = model_config({'test_cfg.views': views})
    config.type = 'TTAMaskRCNN'
    config.roi_head = {'type': 'StandardRoIHead', **{part: config.roi_head[part] for part in parts}, **head}
    del config.test_cfg['mode']
    return config


def with_same_weights(config):
    """The TTAMaskRCNN, and the affinity model with the same views and weights."""
    both = build_model({'test_cfg.views': config.test_cfg.views}).eval()
    model = MODELS.build(config).eval()
    model.load_state_dict({name: value for name, value in both.state_dict().items() if name in model.state_dict()})
    return model, both


@pytest.mark.parametrize('views', [FOUR, None])
def test_mask_rcnn(views):
    model, both = with_same_weights(mask_rcnn(views=views))
    assert type(model) is TTAMaskRCNN
    for one, other in zip(predict(model), predict(both), strict=True):
        assert torch.equal(one.pred_instances.scores, other.pred_instances.scores)
        assert torch.equal(one.pred_instances.masks, other.pred_instances.masks)


def test_detector_without_masks():
    model, both = with_same_weights(mask_rcnn(parts=PARTS[:2]))
    for one, other in zip(predict(model), predict(both), strict=True):
        assert 'masks' not in one.pred_instances and len(one.pred_instances) > 0
        torch.testing.assert_close(one.pred_instances.bboxes, other.pred_instances.bboxes)
        assert one.pred_instances.bboxes.max() > SIZE  # in pixels of the original image


INVALID = [['flip'], [dict(rotate=True)], [dict(shift=1)], [dict(flip=[True])], [dict(flip=False)], [{}], 3, dict(flip=True)]


@pytest.mark.parametrize('views', INVALID)
def test_invalid_views_are_refused(views):
    with pytest.raises(ValueError, match='views of test_cfg must be a list such as'):
        build_model({'test_cfg.views': views})


def test_repeated_views_are_refused():
    with pytest.raises(ValueError, match='views of test_cfg must differ from each other and from the original'):
        build_model({'test_cfg.views': [dict(flip=True), dict(shift=True), dict(flip=True)]})


def test_heads_that_predict_otherwise_are_refused():
    point = dict(type='MaskPointHead', num_classes=1, in_channels=16, num_fcs=1, fc_channels=16)
    with pytest.raises(ValueError, match='views of test_cfg cannot be combined with PointRendRoIHead'):
        MODELS.build(mask_rcnn(type='PointRendRoIHead', point_head=point))


def test_models_with_views_are_not_exported():
    with pytest.raises(ValueError, match='averages views cannot be exported; set model.test_cfg.views=None'):
        SliceGraph(build_model({'test_cfg.views': FOUR}).eval(), SIZE, SIZE)
