"""Reliability diagrams."""

import numpy as np
import pytest

from mmaffinity.visualization.reliability import draw_reliability
from mmaffinity.visualization.saving import save_figure

PANEL = ('model', np.array([0, 3]), np.array([np.nan, 0.8]), np.array([np.nan, 1.0]), 0.2)


def test_bars_are_accuracies_and_counts(tmp_path):
    figure = draw_reliability([PANEL] * 4)
    upper, lower = figure.axes[0], figure.axes[3]
    assert [bar.get_height() for bar in upper.patches] == [0, 1]
    assert [bar.get_height() for bar in lower.patches] == [0, 3]
    assert not upper.lines[1].get_clip_on()  # a dot at 0 or 1 is whole
    assert 'ECE 20.00%' in [text.get_text() for text in upper.texts]
    save_figure(figure, tmp_path / 'r.png', dpi=50)
    with pytest.raises(ValueError, match='at least one'):
        draw_reliability([])
