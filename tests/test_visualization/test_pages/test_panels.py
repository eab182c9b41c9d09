"""Small images of tested slices."""

import cv2
import numpy as np

from mmaffinity.visualization.pages.panels import panel_pair


def changed(picture, image):
    """Pixels that differ clearly from the slice, despite JPEG."""
    return np.abs(picture.astype(int) - image[..., None]).max(-1) > 60


def test_annotation_is_on_the_left_and_prediction_on_the_right(make_sample):
    image = np.full((128, 128), 100, np.uint8)
    true, found, unlikely = [20, 20, 50, 50], [70, 70, 110, 110], [70, 10, 110, 40]
    sample = make_sample([found, unlikely], [0.9, 0.4], [true], (128, 128))
    content = cv2.imdecode(np.frombuffer(panel_pair(image, sample), np.uint8), cv2.IMREAD_COLOR)
    assert content.shape == (128, 256, 3)
    left, right = (changed(half, image) for half in np.split(content, 2, axis=1))
    assert left[15:55, 15:55].any() and not left[60:].any() and not left[:, 60:].any()
    assert right[65:115, 65:115].any() and not right[:60].any() and not right[:, :60].any()


def test_slice_without_annotation_or_prediction_is_drawn_once(make_sample):
    sample = make_sample(task='classification', true=[[20, 20, 50, 50]], shape=(128, 128))
    picture = cv2.imdecode(np.frombuffer(panel_pair(np.full((128, 128), 100, np.uint8), sample), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (128, 128, 3) and np.ptp(picture) < 10
