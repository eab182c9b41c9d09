"""The three panels per slice."""

import numpy as np
import pytest

from mmaffinity.visualization.lesion_panels import LesionPanel, draw_lesion_panels
from mmaffinity.visualization.saving import save_figure

IMAGE = np.full((32, 40), 100, np.uint8)


def panel(scores, truth=1):
    masks = np.zeros((len(scores), 32, 40))
    for index in range(len(scores)):
        masks[index, 4:12, 5:15] = 0.3 + 0.4 * (index == 0)
    true = np.zeros((truth, 32, 40), bool)
    true[:, 5:14, 0:14] = True
    boxes = np.array([[5.0, 4.0, 15.0, 12.0]] * len(scores)).reshape(-1, 4)
    return LesionPanel(IMAGE, 'p/1.png', boxes, np.array(scores), masks, true)


def test_panels(tmp_path):
    figure = draw_lesion_panels([panel([0.9, 0.6, 0.2]), panel([], 0)])
    first, heat, truth, none, empty, healthy = figure.axes[:6]
    assert first.get_title() == 'p/1.png\npredicted: 2 lesions, 1 below score 0.5 not shown'
    assert [text.get_text() for text in first.texts] == ['0.90', '0.60']
    assert truth.get_title() == 'ground truth: 1 lesion' and healthy.get_title() == 'ground truth: no lesion'
    assert none.get_title().endswith('predicted: no lesion')
    shown = heat.get_images()[-1].get_array()
    assert shown.max() == pytest.approx(0.7) and shown[0, 0] == 0 and heat.get_images()[-1].get_clim() == (0, 1)
    assert empty.get_images()[-1].get_array().max() == 0
    save_figure(figure, tmp_path / 'l.png', dpi=50)


def test_errors():
    with pytest.raises(ValueError, match='at least one'):
        draw_lesion_panels([])
    wrong = panel([0.9])
    wrong.true_masks = np.zeros((1, 8, 8), bool)
    with pytest.raises(ValueError, match='true masks'):
        draw_lesion_panels([wrong])
