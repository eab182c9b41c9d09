"""The evidence figure: its text and lines."""

import numpy as np
import pytest

from mmaffinity.visualization.evidence import draw_evidence
from mmaffinity.visualization.saving import save_figure

BOXES = np.array([[2.0, 2.0, 30.0, 30.0], [2.0, 2.0, 30.0, 30.0], [40.0, 40.0, 60.0, 60.0]])
GIVEN = np.array([[1.0, -1.0], [2.0, -1.0], [-1.0, 0.0]])
REST = np.array([0.5, 0.25])
IMAGE = np.full((64, 64), 90, np.uint8)


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_repeats_are_one_box_with_the_sum_of_their_contributions(tmp_path):
    figure = draw_evidence(IMAGE, BOXES, GIVEN, REST, ('A', 'B'), 'slice')
    upper_a, upper_b, lower_a, lower_b = figure.axes
    assert upper_a.get_title() == f'A: logit +2.50, probability {1 / (1 + np.exp(-2.5)):.3f}'
    assert sorted(texts(upper_a)) == ['#1\u20132 +75 %', '#3 \u221225 %']
    assert '#1\u20132 \u2212100 %' in texts(upper_b)
    assert [label.get_text() for label in lower_a.get_yticklabels()] == ['#1\u20132', '#3', 'rest', 'logit']
    assert 'rest: not from any RoI (biases)' in ' '.join(figure.get_supxlabel().split())
    assert [bar.get_width() for bar in lower_a.patches] == [3.0, -1.0, 0.5, 2.5]
    assert [bar.get_width() for bar in lower_b.patches] == [-2.0, 0.0, 0.25, -1.75]
    styles = {patch.get_linestyle() for patch in upper_a.patches}
    assert {'-', (0, (3, 2))} <= styles  # for and against also differ in grayscale print
    save_figure(figure, tmp_path / 'e.png', dpi=60)
    save_figure(figure, tmp_path / 'e.pdf', dpi=60)


def test_many_rois_are_merged_into_the_rest():
    boxes = np.stack([np.array([i, i, i + 20, i + 20.0]) for i in range(20)])
    given = np.zeros((20, 1))
    given[:, 0] = np.arange(1, 21)
    figure = draw_evidence(IMAGE, boxes, given, np.array([1.0]), ('A',))
    lower = figure.axes[1]
    assert lower.get_yticklabels()[-2].get_text() == 'rest, 8 RoIs'
    foot = ' '.join(figure.get_supxlabel().split())
    assert 'rest: biases, and the RoIs without a bar; logit' in foot and 'not from any RoI' not in foot
    assert sum(bar.get_width() for bar in lower.patches[:-1]) == pytest.approx(lower.patches[-1].get_width())


def test_the_whole_slice_is_labelled_as_such():
    boxes = np.array([[5, 5, 20, 20], [5, 5, 20, 20], [0, 0, IMAGE.shape[1], IMAGE.shape[0]]], float)
    figure = draw_evidence(IMAGE, boxes, np.array([[1.0], [2.0], [-3.0]]), np.zeros(1), ('A',), slice_roi=True)
    assert {'#1\u20132 +50 %', 'slice \u221250 %'} <= set(texts(figure.axes[0]))
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ['#1\u20132', 'slice', 'rest', 'logit']


def test_slice_without_evidence_is_drawn():
    assert '#3 0 %' in texts(draw_evidence(IMAGE, BOXES, 0 * GIVEN, 0 * REST, ('A', 'B')).axes[0])


def test_wrong_shapes_are_rejected():
    for wrong in (
        (BOXES[:2], GIVEN, REST),
        (BOXES, GIVEN[:, :1], REST),
        (BOXES, GIVEN, REST[:1]),
        (BOXES[:0], GIVEN[:0], REST),
    ):
        with pytest.raises(ValueError, match='attribution of 2 classes'):
            draw_evidence(IMAGE, *wrong, ('A', 'B'))


def test_a_number_that_rounds_to_zero_has_no_sign():
    given = np.array([[-1e-4, 1e-4], [2.0, 2.0], [-2.0, 1.0]])
    boxes = BOXES + np.arange(3)[:, None]
    figure = draw_evidence(IMAGE, boxes, given, -1e-4 * np.ones(2), ('A', 'B'))
    words = [text for axis in figure.axes for text in texts(axis)]
    assert '0.00' in words and '0.00  (0 %)' in words
    assert not any(text.startswith(('\u22120.00', '+0.00')) or '\u22120 %' in text or '+0 %' in text for text in words)


@pytest.mark.parametrize('seed', range(3))
def test_labels_touch_their_box_but_not_each_other(seed):
    random = np.random.default_rng(seed)
    size = 256
    corner = random.uniform(0, size - 60, (8, 2))
    boxes = np.concatenate([corner, corner + random.uniform(10, 60, (8, 2))], 1)
    figure = draw_evidence(np.full((size, size), 90, np.uint8), boxes, random.normal(size=(8, 2)), np.zeros(2), ('A', 'B'))
    figure.draw_without_rendering()
    for axis in figure.axes[:2]:
        spots = {text.get_text(): text.get_window_extent().transformed(axis.transData.inverted()) for text in axis.texts}
        assert len(spots) >= 5
        for name, label in spots.items():
            x1, y1, x2, y2 = boxes[int(name[1]) - 1]
            gap = max(label.xmin - x2, x1 - label.xmax, min(label.y0, label.y1) - y2, y1 - max(label.y0, label.y1))
            assert gap < 0.05 * size, (name, gap)
            for other, place in spots.items():
                assert other == name or not label.overlaps(place), (name, other)
