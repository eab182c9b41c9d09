"""Ranks by pairs of criteria."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mmaffinity.visualization.ranks import draw_ranks
from mmaffinity.visualization.saving import save_figure

CRITERIA = {'mAP': {'a': 0.4, 'b': 0.5, 'c': 0.3}, 'F1': {'a': 0.9, 'b': 0.8, 'c': 0.8, 'd': 0.99}}


def test_ranks_and_ties(tmp_path):
    axis = draw_ranks(CRITERIA, [('mAP', 'F1')]).axes[0]
    spots = {text.get_text(): tuple(text.xy) for text in axis.texts}
    assert spots == {'a': (2, 1), 'b': (1, 2.5), 'c': (3, 2.5)}  # d has no mAP; b and c share a rank
    assert axis.get_ylim()[0] > axis.get_ylim()[1] and 'mAP' in axis.get_xlabel()
    same = draw_ranks({'x': dict(a=1, b=1), 'y': dict(a=1, b=1)}, [('x', 'y')])
    assert [text.get_text() for text in same.axes[0].texts] == ['a, b']
    save_figure(same, tmp_path / 'r.png', dpi=50)
    assert 'of a phantom' in draw_ranks(CRITERIA, [('mAP', 'F1')], note='Ranks of a phantom.').get_supxlabel()


def test_long_names_stay_inside_their_panel():
    """A centred name of the first of two equal ranks covered the axis."""
    names = ['affinity_c8_steady_phantom', 'b', 'c', 'd', 'another_long_name_of_a_model']
    values = {name: 5 - index for index, name in enumerate(names)}
    figure = draw_ranks({'F1': values, 'sensitivity': dict(values, another_long_name_of_a_model=5)}, [('F1', 'sensitivity')])
    FigureCanvasAgg(figure).draw()
    axis = figure.axes[0]
    panel = axis.get_window_extent()
    for text in axis.texts:
        box = text.get_window_extent()
        assert panel.x0 <= box.x0 and box.x1 <= panel.x1, text.get_text()


def test_errors():
    with pytest.raises(ValueError, match='speed'):
        draw_ranks(CRITERIA, [('mAP', 'speed')])
    with pytest.raises(ValueError, match='two models'):
        draw_ranks({'x': dict(a=1), 'y': dict(b=1)}, [('x', 'y')])
