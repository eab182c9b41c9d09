"""Caption strips."""

import numpy as np
import pytest

from mmaffinity.visualization import captions
from mmaffinity.visualization.captions import PAPER, Caption, draw_caption


def full(num_classes=3, long=1):
    cells = [(f'class {index} ' * long, 1 / (index + 1), index == 0) for index in range(num_classes)]
    return Caption(
        'Predicted: COVID-19 ' * long,
        'truth: CP (differs) ' * long,
        cells,
        [('lesion0', 'predicted lesion'), ('box1', 'b'), ('truth', 'true lesion ' * long), ('roi', 'RoI')],
        ['predicted lesions: none ' * long, 'true lesions: 2'],
        '12/345/0034.png' * long,
    )


@pytest.mark.parametrize('width', [560, 768, 1024, 1536])
@pytest.mark.parametrize('num_classes, long', [(2, 1), (3, 1), (3, 12), (30, 2), (0, 1)])
def test_captions_are_not_truncated(width, num_classes, long):
    strip = draw_caption(full(num_classes, long), width)
    assert strip.dtype == np.uint8 and strip.shape[1:] == (width, 3)
    margin = np.concatenate(
        [strip[:2].reshape(-1, 3), strip[-2:].reshape(-1, 3), strip[:, :6].reshape(-1, 3), strip[:, -6:].reshape(-1, 3)]
    )
    assert (margin == PAPER).all()


def test_empty_caption_keeps_the_notice(monkeypatch):
    strip = draw_caption(Caption('No class predicted'), 768)
    monkeypatch.setattr(captions, 'SHORT_NOTICE', '')
    silent = draw_caption(Caption('No class predicted'), 768)
    changed = np.nonzero((strip != silent).any(axis=(0, 2)))[0]
    assert changed.min() > 500, 'the notice stands at the right'


@pytest.mark.parametrize('probability, filled', [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (1.2, 1.0), (float('nan'), 0.0)])
def test_bar_length_equals_the_probability(probability, filled):
    strip = draw_caption(Caption('P', probabilities=[('COVID-19', probability, False)]), 768)
    dark = (strip == (70, 70, 70)).all(axis=-1)
    length = dark.sum(axis=1).max()
    size = 16  # pixels of text at this width
    assert abs(length - filled * (4 * size - 2)) <= 2
