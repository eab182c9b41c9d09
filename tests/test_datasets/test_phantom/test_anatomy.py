"""The chest of the phantom."""

import cv2
import numpy as np

from mmaffinity.datasets.phantom import (
    draw_slice,
    make_patient,
)


def test_anatomy_scales_with_image_size():
    patient = make_patient(0, 6, 2)
    small, large = (draw_slice(patient, 0.6, size)[1] for size in (128, 256))
    shrunk = cv2.resize((large > 1).astype(np.uint8), (128, 128), interpolation=cv2.INTER_AREA)
    assert ((small > 1) & (shrunk > 0)).sum() / ((small > 1) | (shrunk > 0)).sum() > 0.8
