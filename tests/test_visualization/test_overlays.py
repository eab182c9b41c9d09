"""draw_overlay, judged by its pixels."""

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from pycocotools import mask as coco_masks

from mmaffinity.structures import SliceDataSample
from mmaffinity.visualization.drawing import LESION_COLORS, ROI_COLOR, TRUTH_COLOR
from mmaffinity.visualization.overlays import MIN_CAPTION_WIDTH, draw_overlay, picture_scale, to_rgb

CLASSES = ('Normal', 'CP', 'COVID-19')
GREY = 90


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)


@pytest.fixture
def flat():
    return np.full((512, 512), GREY, dtype=np.uint8)


def picture_of(out, image, min_size=768):
    """The part of the drawing that shows the slice, and how much it was enlarged."""
    scale = picture_scale(*image.shape[:2], min_size)
    return out[: image.shape[0] * scale, : image.shape[1] * scale], scale


def is_color(picture, color):
    return (picture == np.array(color)).all(axis=-1)


@pytest.mark.parametrize(
    'shape, scale', [((512, 512), 2), ((256, 256), 3), ((254, 377), 3), ((768, 512), 1), ((1024, 1024), 1), ((32, 32), 24)]
)
def test_slice_without_lesions_is_unchanged_above_the_caption(shape, scale, make_sample):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    out = draw_overlay(image, make_sample([], [], true=[], shape=shape), CLASSES)
    assert out.dtype == np.uint8 and out.shape[2] == 3
    assert picture_scale(*shape) == scale
    expected = np.kron(image, np.ones((scale, scale), dtype=np.uint8))
    picture, _ = picture_of(out, image)
    np.testing.assert_array_equal(picture, np.stack([expected] * 3, axis=-1))
    assert out.shape[0] > picture.shape[0], 'no caption'
    assert len(np.unique(out[picture.shape[0] :])) > 10, 'empty caption'


def test_mask_is_tinted_inside_and_slice_is_kept_outside(image, make_sample):
    box = (100, 150, 200, 260)
    out = draw_overlay(image, make_sample([box]), CLASSES)
    picture, scale = picture_of(out, image)
    inside = picture[155 * scale : 255 * scale, 105 * scale : 195 * scale].astype(float)
    source = np.kron(image, np.ones((scale, scale)))[155 * scale : 255 * scale, 105 * scale : 195 * scale, None]
    np.testing.assert_allclose(inside, source * 0.72 + np.array(LESION_COLORS[0]) * 0.28, atol=0.51)
    untouched = np.ones(picture.shape[:2], dtype=bool)
    untouched[120 * scale : 265 * scale, 95 * scale : 205 * scale] = False  # room for lines and label
    expected = np.kron(image, np.ones((scale, scale), dtype=np.uint8))
    assert (picture[untouched] == expected[untouched][:, None]).all()


def test_box_lines_are_on_the_box(flat, make_sample):
    sample = make_sample([(100, 150, 200, 260)])
    del sample.pred_instances.masks
    picture, scale = picture_of(draw_overlay(flat, sample, CLASSES), flat)
    ys, xs = np.nonzero(is_color(picture[150 * scale :], LESION_COLORS[0]))
    assert (xs.min(), xs.max()) == (100 * scale, 200 * scale - 1)
    assert (ys.min() + 150 * scale, ys.max() + 150 * scale) == (150 * scale, 260 * scale - 1)
    assert is_color(picture[200 * scale, 150 * scale], (GREY, GREY, GREY)), 'a box without mask is not filled'


def test_truth_is_dashed_where_prediction_is_solid(flat, make_sample):
    box = (100, 150, 200, 260)
    scale = picture_scale(512, 512)
    row = slice(149 * scale, 153 * scale), slice(110 * scale, 190 * scale)
    solid = draw_overlay(flat, make_sample([box]), CLASSES)[row]
    dashed = draw_overlay(flat, make_sample(true=[box]), CLASSES)[row]
    assert is_color(solid, LESION_COLORS[0]).any(axis=0).all()
    on = is_color(dashed, TRUTH_COLOR).any(axis=0)
    assert 0.3 < on.mean() < 0.8
    hidden = draw_overlay(flat, make_sample(true=[box]), CLASSES, show_gt=False)
    assert not is_color(hidden[: 512 * scale], TRUTH_COLOR).any()


def test_truth_comes_in_every_form_of_annotation(flat, make_sample):
    box = (100, 150, 200, 260)
    mask = np.zeros((512, 512), dtype=np.uint8)
    mask[150:260, 100:200] = 1
    compressed = coco_masks.encode(np.asfortranarray(mask))
    column_runs = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel(), [0]])))
    counts = np.diff(np.concatenate([[0], column_runs, [mask.size]])).tolist()
    forms = [compressed, dict(size=[512, 512], counts=compressed['counts'].decode()), dict(size=[512, 512], counts=counts)]
    expected = draw_overlay(flat, make_sample(true=[box]), CLASSES)
    for form in forms:
        sample = make_sample(instances=[dict(bbox=list(box), bbox_label=0, mask=form)])
        np.testing.assert_array_equal(draw_overlay(flat, sample, CLASSES), expected)
    bitmap = make_sample(true=[box])
    bitmap.gt_instances.masks = BitmapMasks(mask[None], 512, 512)
    np.testing.assert_array_equal(draw_overlay(flat, bitmap, CLASSES), expected)
    polygon = make_sample(instances=[dict(bbox=list(box), mask=[[100, 150, 200, 150, 200, 260, 100, 260]])])
    drawn = is_color(draw_overlay(flat, polygon, CLASSES)[:1024], TRUTH_COLOR)
    assert np.logical_xor(drawn, is_color(expected[:1024], TRUTH_COLOR)).sum() < 0.1 * drawn.sum()
    without_mask = make_sample(instances=[dict(bbox=list(box))])
    assert is_color(draw_overlay(flat, without_mask, CLASSES)[:1024], TRUTH_COLOR).sum() > 500
    ignored = make_sample(instances=[dict(bbox=list(box), mask=compressed, ignore_flag=1)])
    assert not is_color(draw_overlay(flat, ignored, CLASSES)[:1024], TRUTH_COLOR).any()


def test_raw_annotations_take_precedence_over_resized_ones(flat, make_sample):
    sample = make_sample(true=[(10, 10, 50, 50)], shape=(256, 256), instances=[dict(bbox=[100, 150, 200, 260])])
    drawn = is_color(draw_overlay(flat, sample, CLASSES)[:1024], TRUTH_COLOR)
    assert drawn[280:540, 190:410].sum() == drawn.sum() > 0


def test_score_threshold_and_limit_keep_the_best(flat, make_sample):
    boxes = [(20, 200, 60, 240), (220, 200, 260, 240), (420, 200, 460, 240)]
    sample = make_sample(boxes, [0.4, 0.95, 0.6])
    scale = picture_scale(512, 512)

    def drawn(**options):
        picture = draw_overlay(flat, sample, CLASSES, **options)
        return [not is_color(picture[220 * scale, (x1 + 20) * scale], (GREY,) * 3) for x1, *_ in boxes]

    assert drawn(score_thr=0.5) == [False, True, True]
    assert drawn(score_thr=0.0) == [True, True, True]
    assert drawn(score_thr=0.0, max_objects=1) == [False, True, False]
    assert drawn(score_thr=0.99) == [False, False, False]
    assert drawn(score_thr=0.0, show_pred=False) == [False, False, False]


def test_lesions_of_two_classes_have_their_colors(flat, make_sample):
    sample = make_sample([(100, 100, 150, 150), (300, 300, 350, 350)])
    sample.pred_instances.labels = torch.tensor([0, 1])
    picture, scale = picture_of(draw_overlay(flat, sample, CLASSES, lesion_names=('GGO', 'Consolidation')), flat)
    assert is_color(picture[: 200 * scale], LESION_COLORS[0]).any() and is_color(picture[250 * scale :], LESION_COLORS[1]).any()
    assert not is_color(picture[: 200 * scale], LESION_COLORS[1]).any()


@pytest.mark.parametrize('size', [256, 512])
def test_hundred_lesions_and_lesions_at_the_borders(size, make_sample):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (size, size), dtype=np.uint8)
    corner = rng.integers(0, size - 30, (96, 2))
    boxes = np.concatenate([corner, corner + rng.integers(5, 30, (96, 2))], axis=1).tolist()
    boxes += [[0, 0, 9, 9], [size - 9, 0, size, 9], [0, size - 9, 9, size], [size - 9, size - 9, size, size]]
    sample = make_sample(boxes, rng.random(100).tolist(), true=boxes[-4:], shape=(size, size))
    caption_only = draw_overlay(image, make_sample([], [], true=[], shape=(size, size)), CLASSES)
    out = draw_overlay(image, sample, CLASSES, score_thr=0.0)
    assert out.shape[1] == caption_only.shape[1] and out.shape[0] >= caption_only.shape[0]


def test_rois_are_dotted_and_repeats_are_one(flat, make_sample):
    sample = make_sample([], [])
    boxes = torch.tensor([[50.0, 60, 120, 140], [50, 60, 120, 140], [300, 310, 400, 420]])
    sample.pred_slice.roi_boxes = boxes
    sample.pred_slice.roi_weights = torch.tensor([1.0, -0.25, 0.5])
    scale = picture_scale(512, 512)
    plain = draw_overlay(flat, sample, CLASSES)
    assert (plain[: 512 * scale] == GREY).all(), 'RoIs are drawn only on request'
    out = draw_overlay(flat, sample, CLASSES, show_rois=True)
    bottom = is_color(out[140 * scale - 1, 50 * scale : 120 * scale], ROI_COLOR)
    assert 0.2 < bottom.mean() < 0.6
    single = make_sample([], [])
    single.pred_slice.roi_boxes, single.pred_slice.roi_weights = boxes[1:], torch.tensor([0.75, 0.5])
    rows = slice(62 * scale, 512 * scale)  # below the labels, which name other ranks
    np.testing.assert_array_equal(
        out[rows, : 290 * scale], draw_overlay(flat, single, CLASSES, show_rois=True)[rows, : 290 * scale]
    )
    del sample.pred_slice.roi_weights  # other slice heads have none
    assert is_color(draw_overlay(flat, sample, CLASSES, show_rois=True)[: 512 * scale], ROI_COLOR).any()


def test_caption_shows_the_prediction(flat, make_sample):
    def caption(**options):
        return draw_overlay(flat, make_sample([], [], **options), CLASSES)[1024:]

    base = caption()
    for other in (
        caption(probabilities=(0.9, 0.2, 0.1)),
        caption(truth=0),
        caption(truth=None),
        caption(patient_id='13'),
        caption(probabilities=None),
    ):
        assert other.shape != base.shape or (other != base).any()
    np.testing.assert_array_equal(base, caption())


@pytest.mark.parametrize('sample', [SliceDataSample(), SliceDataSample(metainfo=dict(img_path=None, patient_id=None))])
def test_sample_without_anything(flat, sample):
    out = draw_overlay(flat, sample, None)
    assert (out[:1024] == GREY).all() and out.shape[0] > 1024


def test_segmentation_without_class_and_class_without_segmentation(flat, make_sample):
    assert draw_overlay(flat, make_sample([(9, 9, 99, 99)], probabilities=None, truth=None), CLASSES).shape[0] > 1024
    assert (draw_overlay(flat, make_sample(task='classification'), CLASSES)[:1024] == GREY).all()
    lesions_unknown = make_sample(true=[(9, 9, 99, 99)], task='classification')
    assert (draw_overlay(flat, lesions_unknown, CLASSES)[:1024] == GREY).all()


def test_narrow_slice_gets_a_wide_caption(make_sample):
    image = np.full((512, 100), GREY, dtype=np.uint8)
    out = draw_overlay(image, make_sample([], [], shape=(512, 100)), ('Normal', 'x' * 200, 'COVID-19'), name='y' * 300)
    assert out.shape[1] == MIN_CAPTION_WIDTH
    picture, _ = picture_of(out, image)
    assert (picture == GREY).all()
    assert (out[1024:, -5:] == out[-1, -1]).all(), 'text runs over the edge'


def test_all_image_types_give_equal_overlays(image, make_sample):
    sample = make_sample([(100, 150, 200, 260)])
    expected = draw_overlay(image, sample, CLASSES)
    for same in (image[..., None], np.stack([image] * 3, axis=-1), image.astype(np.float32) + 0.2):
        np.testing.assert_array_equal(draw_overlay(same, sample, CLASSES), expected)
    before = image.copy()
    draw_overlay(image, sample, CLASSES)
    np.testing.assert_array_equal(image, before, err_msg='the input was drawn on')
    np.testing.assert_array_equal(to_rgb(np.array([[-3.0, np.nan, 300.0]]))[0, :, 0], [0, 0, 255])


def test_misuse_raises_clear_errors(image, make_sample):
    sample = make_sample([(100, 150, 200, 260)])
    with pytest.raises(ValueError, match='2 class names.*3 probabilities'):
        draw_overlay(image, sample, ('Negative', 'COVID-19'))
    with pytest.raises(ValueError, match='predicted masks of 12/345/0034.png.*256 x 256'):
        draw_overlay(image[:256, :256], sample, CLASSES)
    with pytest.raises(ValueError, match='ground-truth masks'):
        draw_overlay(image[:256, :256], make_sample(true=[(1, 1, 9, 9)]), CLASSES)
    with pytest.raises(ValueError, match='uint16.*LoadCTSlice'):
        draw_overlay(image.astype(np.uint16), sample, CLASSES)
    with pytest.raises(ValueError, match='shape'):
        draw_overlay(image[None], sample, CLASSES)
    with pytest.raises(ValueError, match='max_objects is -1'):
        draw_overlay(image, sample, CLASSES, max_objects=-1)
