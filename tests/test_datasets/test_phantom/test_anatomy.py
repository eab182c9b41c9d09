"""The chest of the phantom: its size in the image, its body box, and the densities of its organs."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from mmaffinity.datasets.phantom.anatomy import AIR, Canvas, body_box, draw_chest, ellipse
from mmaffinity.datasets.phantom.patient import make_patient
from mmaffinity.datasets.phantom.slices import draw_slice


def test_anatomy_scales_with_image_size():
    patient = make_patient(0, 6, 2)
    small, large = (draw_slice(patient, 0.6, size)[1] for size in (128, 256))
    shrunk = cv2.resize((large > 1).astype(np.uint8), (128, 128), interpolation=cv2.INTER_AREA)
    assert ((small > 1) & (shrunk > 0)).sum() / ((small > 1) | (shrunk > 0)).sum() > 0.8


def chest_of(patient, level, size=128, zoom=1.0):
    return draw_chest(patient, level, size, zoom, np.zeros((size, size), np.float32))


@pytest.mark.parametrize('level', [0.1, 0.5, 0.9])
@pytest.mark.parametrize('zoom', [0.8, 1.0])
def test_body_box_is_that_of_the_drawn_body(level, zoom):
    """The largest object denser than air: the table is separate from it."""
    for number in range(4):
        patient = make_patient(2, number, 0)
        canvas, _ = chest_of(patient, level, zoom=zoom)
        labels, count = ndimage.label(ndimage.binary_fill_holes(canvas.hu > -300))
        body = labels == 1 + np.argmax(ndimage.sum_labels(labels > 0, labels, range(1, count + 1)))
        rows, columns = (np.flatnonzero(body.any(axis)) for axis in (1, 0))
        drawn = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(np.subtract(drawn, body_box(patient, level, 128, zoom))).max() <= 2


def test_body_box_stays_within_the_image():
    assert body_box(make_patient(2, 0, 0), 0.5, 100, zoom=3.0) == (0, 0, 100, 100)


def test_densities_of_air_lungs_and_trachea():
    patient = make_patient(0, 3, 0)
    canvas, lungs = chest_of(patient, 0.3)
    assert canvas.hu[:5].max() == pytest.approx(AIR)
    assert abs(np.median(canvas.hu[lungs]) - patient.lung_hu) < 25
    columns = np.flatnonzero(lungs.any(0))
    assert lungs[:, columns[0] : 64].any() and lungs[:, 64 : columns[-1]].any()  # one on either side
    ((x, y),) = np.round(canvas.pixels(np.array([[0.0, np.interp(0.3, (0, 0.49), (-0.06, 0.03))]]))).astype(int)
    assert canvas.hu[y, x] == pytest.approx(AIR) and not lungs[y, x]


def test_shapes_are_drawn_in_units_of_the_field_of_view():
    """It spans -1 to 1 at zoom 1; the body's tilt and shift move what is drawn."""
    patient = replace(make_patient(0, 0, 0), tilt=0.0, shift=(0.1, -0.05))
    canvas = Canvas(patient, 200, 0.5)
    np.testing.assert_allclose(canvas.pixels(np.array([[0.0, 0.0], [1.0, 0.5]])), [[104.5, 97.0], [154.5, 122.0]])
    image = np.zeros((200, 200), np.uint8)
    canvas.fill(ellipse(-0.1, 0.05, 0.4, 0.2), 1, image)
    assert image.sum() == pytest.approx(np.pi * 20 * 10, rel=0.08)
    rows, columns = np.nonzero(image)
    assert abs(columns.mean() - 99.5) < 0.3 and abs(rows.mean() - 99.5) < 0.3
