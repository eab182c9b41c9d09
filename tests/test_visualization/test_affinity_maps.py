"""Heat maps of Y."""

import matplotlib.colors
import numpy as np
import pytest
import torch

from mmaffinity.visualization.affinity_maps import AFFINITY_COLORS, draw_affinity


def panels(figure):
    return [axis for axis in figure.axes if axis.get_xlabel() == 'channel (C)']


@pytest.mark.parametrize('num_affinities', [8, 64])
def test_panels_share_a_symmetric_scale(num_affinities):
    rng = np.random.default_rng(0)
    matrices = [rng.normal(0.5, scale, (num_affinities, 256)) for scale in (1, 2, 3)]
    figure = draw_affinity(matrices, ['Normal\n1/a.png', 'CP\n2/b.png', 'COVID-19\n3/c.png'])
    limit = np.percentile(np.abs(np.concatenate(matrices)), 99.5)
    assert [axis.get_title().split('\n')[0] for axis in panels(figure)] == ['Normal', 'CP', 'COVID-19']
    for axis, matrix in zip(panels(figure), matrices):
        (heat_map,) = axis.images
        np.testing.assert_array_equal(heat_map.get_array(), matrix)
        assert heat_map.get_clim() == pytest.approx((-limit, limit))
        assert axis.get_ylabel() == 'affinity (C*)'
    assert len(figure.axes) == 4 and figure.axes[-1].get_ylabel() == 'affinity Y'


def test_colors_diverge_and_can_be_read_in_grey():
    colors = AFFINITY_COLORS(np.linspace(0, 1, 101))[:, :3]
    lightness = colors @ [0.299, 0.587, 0.114]
    assert (np.diff(lightness) > 0).all()
    assert np.ptp(colors[50]) < 0.02, 'zero is neutral'
    low, high = (matplotlib.colors.rgb_to_hsv(colors[index])[0] for index in (20, 80))
    assert 0.5 < low < 0.75 and high < 0.2


def test_one_matrix_a_tensor_and_a_grid():
    y = torch.randn(8, 256, requires_grad=True)
    figure = draw_affinity(y, 'COVID-19')
    assert figure.axes[-1].get_ylabel() == 'affinity Y'
    figure = draw_affinity([y] * 5, columns=3)
    assert len(panels(figure)) == 5
    assert panels(figure)[4].get_subplotspec().rowspan.start == 1


@pytest.mark.parametrize('matrix, limit', [(np.zeros((8, 256)), 1.0), (np.eye(300)[:2] * 3, 3.0)])
def test_zero_and_sparse_matrices_have_a_scale(matrix, limit):
    assert panels(draw_affinity(matrix))[0].images[0].get_clim() == (-limit, limit)


def test_figure_is_marked_research_use_only():
    assert draw_affinity(np.ones((8, 4)))._supxlabel.get_text() == 'research use only'


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(affinity=[]), 'no affinity matrix'),
        (dict(affinity=np.zeros(8)), r'shape \(8,\)'),
        (dict(affinity=[np.zeros((8, 0))], titles=['CP']), "'CP' has shape"),
        (dict(affinity=np.array([[1.0, np.nan]])), '1 value that is not finite'),
        (dict(affinity=[np.ones((2, 2))] * 2, titles=['one']), '1 title was given for 2 affinity matrices'),
        (dict(affinity=np.ones((2, 2)), columns=0), 'columns=0 must be at least 1'),
    ],
)
def test_misuse_raises_clear_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_affinity(**arguments)


def test_dollar_signs_in_names_are_not_math():
    figure = draw_affinity(np.ones((2, 2)), '$\\bad$')
    figure.draw_without_rendering()  # raises where a formula is malformed
    assert figure.axes[0].get_title() == '$\\bad$'
