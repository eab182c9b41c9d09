"""The growth plot shows what was measured."""

import pytest

from mmaffinity.visualization.growth import LABELS, draw_growth
from mmaffinity.visualization.saving import save_figure

MEASURED = {'slices': ([1, 2, 4], [0.1, 0.2, 0.41]), 'objects': ([1, 100], [0.1, 0.3]), 'rois': ([2, 4, 8, 16, 32], [0.1] * 5)}


def test_panels_show_the_measurements(tmp_path):
    figure = draw_growth(MEASURED)
    panels = [axis for axis in figure.axes if axis.has_data()]
    assert [axis.get_xlabel() for axis in panels] == [LABELS[name] for name in MEASURED]
    for axis, (values, seconds) in zip(panels, MEASURED.values()):
        straight, line = axis.get_lines()
        assert list(line.get_xdata()) == values and list(line.get_ydata()) == pytest.approx([1000 * s for s in seconds])
        assert list(straight.get_xdata()) == [values[0], values[-1]]
        assert axis.get_ylim()[0] == 0 and axis.get_ylim()[1] > 1000 * max(seconds)
    assert save_figure(figure, tmp_path / 'growth.png').stat().st_size > 10000


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no measurement'):
        draw_growth({})
