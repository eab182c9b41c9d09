"""Reading samples."""

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

from mmaffinity.structures import SliceDataSample
from mmaffinity.visualization.sample_arrays import (
    picture_as_seen,
    predicted_lesions,
    ranked_rois,
    sample_name,
    slice_probabilities,
    to_array,
    true_class,
)


@pytest.mark.parametrize(
    'meta, name',
    [
        (dict(img_path='/d/NCP/12/345/0034.png', patient_id='12', scan_id='345'), '12/345/0034.png'),
        (dict(img_path='/d/x/0034.png', patient_id=12, scan_id=None), '12/0034.png'),
        (dict(img_path='/d/COVID/a.jpg', patient_id=None, scan_id=None), 'COVID/a.jpg'),
        (dict(img_path='C:\\d\\COVID\\a.jpg'), 'COVID/a.jpg'),
        (dict(img_path='a.jpg'), 'a.jpg'),
        (dict(img_path=None, img_id=7), '7'),
        (dict(), 'slice'),
    ],
)
def test_sample_name(meta, name):
    assert sample_name(SliceDataSample(metainfo=meta)) == name


def test_picture_as_seen():
    image = np.arange(5 * 6 * 3).reshape(5, 6, 3)
    assert np.array_equal(picture_as_seen(image, SliceDataSample()), image[:, :, [2, 1, 0]])
    assert np.array_equal(picture_as_seen(image[..., 0], SliceDataSample()), image[..., 0])
    sample = SliceDataSample(metainfo=dict(crop_box=(1, 2, 6, 4)))
    assert np.array_equal(picture_as_seen(image, sample), image[2:4, 1:6, [2, 1, 0]])
    assert np.array_equal(picture_as_seen(image[..., 0], sample), image[2:4, 1:6, 0])


def test_lesions_are_sorted_by_score(make_sample):
    lesions = predicted_lesions(make_sample([(1, 1, 5, 5), (10, 10, 20, 20)], [0.2, 0.7]), (512, 512))
    np.testing.assert_allclose(lesions.scores, [0.7, 0.2])
    assert lesions.masks.sum(axis=(1, 2)).tolist() == [100, 16]
    assert predicted_lesions(make_sample(), (512, 512)) is None
    assert len(predicted_lesions(make_sample([], []), (512, 512))) == 0


def test_repeated_rois_are_merged(make_sample):
    sample = make_sample()
    assert ranked_rois(sample) == []
    sample.pred_slice.roi_boxes = torch.tensor([[0.0, 0, 5, 5], [0, 0, 5, 5], [1, 1, 9, 9], [0, 0, 5, 5]])
    sample.pred_slice.roi_weights = torch.tensor([1.0, 2.0, -4.0, 8.0])
    (box, ranks, weight), (_, other_ranks, other_weight) = ranked_rois(sample)
    assert box.tolist() == [0, 0, 5, 5] and ranks == [1, 2, 4] and weight == 11.0
    assert other_ranks == [3] and other_weight == -4.0


def test_class_and_probabilities(make_sample):
    label, scores = slice_probabilities(make_sample(probabilities=(0.3, 0.9, 0.1)))
    assert label == 1 and scores == pytest.approx([0.3, 0.9, 0.1])
    assert slice_probabilities(SliceDataSample()) == (None, [])
    assert true_class(make_sample(truth=1)) == 1 and true_class(SliceDataSample()) is None


def test_arrays_of_every_kind():
    boxes = torch.tensor([[1.0, 2, 3, 4]], requires_grad=True)
    for value in (boxes, boxes.half(), boxes.bfloat16(), HorizontalBoxes(boxes), [[1, 2, 3, 4]]):
        np.testing.assert_array_equal(to_array(value), [[1, 2, 3, 4]])
    assert to_array(torch.tensor([True])).dtype == bool
