"""Strokes and labels."""

import numpy as np
import pytest

from mmaffinity.visualization.drawing import (
    Labels,
    box_corners,
    draw_dashes,
    fit_text,
    load_font,
    mask_outlines,
    rectangle_points,
    tint,
)


def test_labels_stay_inside_and_do_not_overlap():
    rng = np.random.default_rng(0)
    labels = Labels((300, 400), 14)
    for _ in range(200):
        x, y = rng.integers(0, 380), rng.integers(0, 280)
        labels.add('0.93', (x, y, x + 20, y + 20), (255, 255, 255))
    assert labels.num_left_out and len(labels.placed) + labels.num_left_out == 200
    count = np.zeros((300, 400), dtype=int)
    for x, y, x_end, y_end, _, _ in labels.placed:
        assert 0 <= x < x_end <= 400 and 0 <= y < y_end <= 300
        count[y:y_end, x:x_end] += 1
    assert count.max() == 1
    drawn = labels.draw(np.full((300, 400, 3), 90, dtype=np.uint8))
    assert (drawn[count == 0] == 90).all() and (drawn[count == 1] != 90).any(axis=1).mean() > 0.9


def test_label_wider_than_the_image_is_omitted():
    labels = Labels((50, 50), 14)
    assert not labels.add('a label much wider than that', (5, 5, 9, 9), (255, 255, 255))
    assert labels.num_left_out == 1


def test_text_is_shortened_in_its_middle():
    font = load_font(14)
    text = 'abcdefghijklmnopqrstuvwxyz'
    assert fit_text(text, font, 1000) == text
    short = fit_text(text, font, 80)
    assert font.getlength(short) <= 80 and short[0] == 'a' and short[-1] == 'z' and '\u2026' in short
    assert fit_text(text, font, 0) == '\u2026'


@pytest.mark.parametrize(
    'box, expected',
    [
        ((10, 20, 30, 40), (20, 40, 59, 79)),
        ((-5, -5, 200, 300), (0, 0, 99, 199)),
        ((7, 7, 7, 7), (14, 14, 14, 14)),
        ((60, 120, 60, 120), (99, 199, 99, 199)),
    ],
)
def test_box_corners_stay_inside(box, expected):
    assert box_corners(np.array(box), 2, (200, 100)) == expected


def test_dashes_and_gaps_alternate():
    picture = np.full((60, 200, 3), 90, dtype=np.uint8)
    draw_dashes(picture, rectangle_points((10, 10, 189, 49)), (0, 255, 0), 1, dash=7, gap=6)
    on = (picture[10, 10:189] == (0, 255, 0)).all(axis=-1)
    off = (picture[10, 10:189] == (20, 20, 20)).all(axis=-1)
    assert (on ^ off).all()
    assert on[:7].all() and off[7:13].all() and on[13:20].all()
    assert (picture[30, 50:150] == 90).all()


def test_dashes_around_a_point_do_not_fail():
    picture = np.zeros((9, 9, 3), dtype=np.uint8)
    draw_dashes(picture, np.array([[4, 4]]), (0, 255, 0), 1, dash=7, gap=6)
    assert (picture[4, 4] == (0, 255, 0)).all()


def test_outlines_follow_the_mask_and_its_hole():
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:35, 5:35] = True
    mask[15:25, 15:25] = False
    outlines = mask_outlines(mask, 3)
    assert len(outlines) == 2
    points = np.concatenate(outlines)
    assert points.min() == 5 * 3 + 1 and points.max() == 34 * 3 + 1
    assert mask_outlines(np.zeros((9, 9), dtype=bool), 2) == []


def test_tint_mixes_in_place():
    picture = np.full((2, 2, 3), 100, dtype=np.uint8)
    tint(picture, np.array([[True, False], [False, False]]), (200, 0, 100), strength=0.25)
    np.testing.assert_array_equal(picture[0, 0], [125, 75, 100])
    assert (picture[0, 1] == 100).all() and (picture[1] == 100).all()
