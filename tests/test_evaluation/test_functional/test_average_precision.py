"""Average precision per image against the recorded published values and against a plain loop."""

import json

import numpy as np
import pytest

from mmaffinity.evaluation.functional.average_precision import (
    IOU_THRESHOLDS,
    image_average_precision,
    summarize_average_precision,
)
from mmaffinity.evaluation.functional.mask_overlap import mask_iou
from mmaffinity.utils.run_lengths import encode_masks


def slow_average_precision(gt_masks, gt_labels, pred_masks, pred_labels, scores, threshold):
    """The metric as described, on pixels, one threshold at a time."""
    if not len(gt_masks):
        return 0.0 if len(pred_masks) else 1.0
    ranking = sorted(range(len(pred_masks)), key=lambda k: -scores[k])  # sorted() is stable
    hit = set()
    for gt, gt_label in zip(gt_masks, gt_labels):
        winner, winner_iou = None, threshold
        for k in ranking:
            union = (gt | pred_masks[k]).sum()
            iou = (gt & pred_masks[k]).sum() / union if union else 0.0
            if pred_labels[k] == gt_label and iou > winner_iou:
                winner, winner_iou = k, iou
        if winner is not None:
            hit.add(winner)
    points, found = [], 0
    for rank, k in enumerate(ranking, 1):
        found += k in hit
        points.append((found / len(gt_masks), found / rank))
    area, last_recall = 0.0, 0.0
    for i, (recall, _) in enumerate(points):
        area += (recall - last_recall) * max(precision for _, precision in points[i:])
        last_recall = recall
    return area


def random_image(rng, num_classes=1):
    """Rectangles on a small canvas, and predictions that are shifted or merged copies of them or strays."""

    def rectangle():
        mask = np.zeros((24, 24), dtype=bool)
        y, x = rng.integers(0, 18, 2)
        mask[y : y + rng.integers(2, 9), x : x + rng.integers(2, 9)] = True
        return mask

    gts = [rectangle() for _ in range(rng.integers(0, 5))]
    preds = []
    for _ in range(rng.integers(0, 8)):
        kind = rng.integers(3)
        if kind == 0 or not gts:
            preds.append(rectangle())
        elif kind == 1:
            preds.append(np.roll(gts[rng.integers(len(gts))], rng.integers(-1, 2), axis=rng.integers(2)))
        else:
            preds.append(gts[rng.integers(len(gts))] | gts[rng.integers(len(gts))])
    scores = rng.choice([0.1, 0.3, 0.5, 0.7, 0.9], len(preds))  # few values, hence many ties
    return (gts, rng.integers(0, num_classes, len(gts)), preds, rng.integers(0, num_classes, len(preds)), scores)


def test_golden_values_of_the_published_metric(shared_dir):
    golden = json.loads((shared_dir / 'reference' / 'golden_ap.json').read_text())
    assert tuple(golden['iou_thresholds']) == IOU_THRESHOLDS
    per_image = []
    for image in golden['images']:
        per_image.append(image_average_precision(mask_iou(image['pred'], image['gt']), image['scores']))
        np.testing.assert_allclose(per_image[-1], image['ap'], atol=1e-5, err_msg=image['image'])
    assert summarize_average_precision(per_image) == pytest.approx(golden['expected'], abs=1e-5)


@pytest.mark.parametrize('num_classes', [1, 2])
@pytest.mark.parametrize('seed', range(60))
def test_equals_the_plain_loop(seed, num_classes):
    gts, gt_labels, preds, pred_labels, scores = random_image(np.random.default_rng(seed), num_classes)
    ap = image_average_precision(mask_iou(encode_masks(preds), encode_masks(gts)), scores, pred_labels, gt_labels)
    expected = [slow_average_precision(gts, gt_labels, preds, pred_labels, scores, t) for t in IOU_THRESHOLDS]
    np.testing.assert_allclose(ap, expected, atol=1e-12)


def test_images_without_lesions_or_predictions():
    assert (image_average_precision(np.zeros((0, 0)), []) == 1).all()
    assert (image_average_precision(np.zeros((3, 0)), [0.9, 0.5, 0.1]) == 0).all()
    assert (image_average_precision(np.zeros((0, 2)), []) == 0).all()


def test_prediction_matching_two_instances_counts_once():
    # Recall stops at 1/2, because true positives are counted among predictions.
    assert image_average_precision(np.array([[0.6, 0.6]]), [0.9], iou_thresholds=[0.5]) == [0.5]


def test_threshold_is_exclusive():
    assert image_average_precision(np.array([[3 / 5]]), [0.9], iou_thresholds=[0.6]) == [0]
    assert image_average_precision(np.array([[0.9]]), [0.9])[IOU_THRESHOLDS.index(0.90)] == 0


def test_equal_scores_keep_their_order():
    hit, miss = [[0.8]], [[0.1]]
    assert image_average_precision(np.array(hit + miss), [0.5, 0.5], iou_thresholds=[0.5]) == [1]
    assert image_average_precision(np.array(miss + hit), [0.5, 0.5], iou_thresholds=[0.5]) == [0.5]


def test_equal_overlaps_match_the_higher_score():
    assert image_average_precision(np.array([[0.8], [0.8]]), [0.2, 0.9], iou_thresholds=[0.5]) == [1]


def test_precision_is_monotone_from_the_right():
    # Ranks: miss, hit, hit. Precision 0, 1/2, 2/3 becomes 2/3 throughout.
    ious = np.array([[0, 0], [0.9, 0], [0, 0.9]])
    assert image_average_precision(ious, [0.9, 0.8, 0.7], iou_thresholds=[0.5]) == pytest.approx([2 / 3])


def test_a_prediction_of_another_class_is_a_false_positive():
    ious, scores = np.array([[0.9], [0.7]]), [0.9, 0.8]
    assert image_average_precision(ious, scores, [1, 0], [0], [0.5]) == [0.5]
    assert image_average_precision(ious, scores, [1, 1], [0], [0.5]) == [0]


def test_summary():
    per_image = np.zeros((2, 10))
    per_image[0, 0], per_image[1, 5] = 1, 0.5
    assert summarize_average_precision(per_image) == pytest.approx({'AP50': 0.5, 'AP75': 0.25, 'mAP': 0.075})


@pytest.mark.parametrize(
    'args, message',
    [
        ((np.zeros(3), [1, 2, 3]), 'shape'),
        ((np.zeros((2, 1)), [0.5]), 'shape'),
        ((np.zeros((1, 1)), [float('nan')]), 'finite'),
        ((np.zeros((1, 1)), [0.5], [0]), 'or of neither'),
        ((np.zeros((1, 1)), [0.5], [0, 1], [0]), 'as many labels'),
    ],
)
def test_bad_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        image_average_precision(*args)


@pytest.mark.parametrize('per_image', [np.zeros((0, 10)), np.zeros(10), np.zeros((2, 9))])
def test_bad_summary(per_image):
    with pytest.raises(ValueError, match='at least one image at 10 thresholds'):
        summarize_average_precision(per_image)


def test_predictions_on_a_crowd_region_are_not_counted():
    """They are ignored, but a prediction that matches an instance counts anywhere."""
    ious = np.array([[0.0], [0.9], [0.0], [0.1]])
    scores = [0.9, 0.8, 0.7, 0.6]
    on_crowd = np.array([1.0, 1.0, 0.0, 0.72])
    ap = image_average_precision(ious, scores, crowd_overlaps=on_crowd)
    for threshold, value in zip(IOU_THRESHOLDS, ap):
        kept = [index for index in range(4) if index == 1 or on_crowd[index] <= threshold]
        assert value == image_average_precision(ious[kept], np.array(scores)[kept], iou_thresholds=[threshold])[0]
    assert ap[0] == 1 and image_average_precision(ious, scores)[0] == 0.5
    nothing = np.zeros((2, 0))
    assert image_average_precision(nothing, [0.5, 0.4], crowd_overlaps=[1.0, 0.72]).tolist() == [1.0] * 5 + [0.0] * 5
    with pytest.raises(ValueError, match='crowd_overlaps must have shape'):
        image_average_precision(nothing, [0.5, 0.4], crowd_overlaps=[1.0])
