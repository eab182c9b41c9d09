"""Training curves."""

import pytest

from mmaffinity.visualization.curves import draw_training_curves
from mmaffinity.visualization.saving import save_figure


def test_losses_and_scores_are_named_and_differ_without_colour(tmp_path):
    losses = {'loss_cls': ([1, 2], [3.0, 0.1]), 'loss_mask': ([1, 2], [2.0, 0.5]), 'loss_slice': ([1, 2], [0.7, 0.1])}
    figure = draw_training_curves(losses, {'f1': ([1], [0.5])}, 'run')
    segmentation, classification, scores = figure.axes
    assert [line.get_label() for line in segmentation.lines] == ['RoI class', 'RoI masks']
    assert len({line.get_linestyle() for line in segmentation.lines}) == 2
    assert [line.get_label() for line in classification.lines] == ['slice class']
    assert segmentation.get_yscale() == 'log' and scores.get_ylim()[1] > 1
    assert all(axis.get_legend() for axis in figure.axes)
    save_figure(figure, tmp_path / 'c.png', dpi=50)


def test_zero_loss_is_drawn_and_missing_data_is_an_error():
    figure = draw_training_curves({'loss_slice': ([1, 2], [0.5, 0.0])}, {})
    assert len(figure.axes) == 1 and figure.axes[0].get_yscale() == 'linear'
    with pytest.raises(ValueError, match='no loss'):
        draw_training_curves({}, {'f1': ([], [])})


def test_equal_scores_stay_visible_and_axes_share_steps():
    losses = {'loss_cls': ([10, 200], [3.0, 0.1]), 'loss_slice': ([100, 200], [0.7, 0.1])}
    figure = draw_training_curves(losses, {name: ([1], [1.0]) for name in ('f1', 'accuracy', 'sensitivity_CP')})
    segmentation, classification, scores = figure.axes
    assert segmentation.get_xlim() == classification.get_xlim()
    sizes = [line.get_markersize() for line in scores.lines]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3
    assert all(line.get_fillstyle() == 'none' and not line.get_clip_on() for line in scores.lines)
