"""The caption strip below an image: class, probabilities, legend and slice name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmaffinity.utils.provenance import SHORT_NOTICE

from .drawing import (
    ROI_COLOR,
    TRUTH_COLOR,
    Color,
    draw_dashes,
    fit_text,
    lesion_color,
    load_font,
    mask_outlines,
    rectangle_points,
    tint,
)

PAPER: Color = (246, 246, 246)
INK: Color = (15, 15, 15)
FAINT: Color = (105, 105, 105)
TILE: Color = (92, 92, 92)  # background of the legend's samples, a typical grey of a slice


@dataclass
class Caption:
    """The content of a caption strip.

    Attributes:
        headline: predicted class, or why there is none.
        truth: true class, and whether the prediction agrees; None if unknown.
        probabilities: (class name, probability, whether predicted) of each class.
        legend: (kind, text) of each line style in the image; kind is 'truth', 'roi', or 'lesion' (box and mask) or
            'box' followed by the number of a lesion class, as 'lesion0'.
        notes: notes on what is shown and omitted.
        name: name of the slice.
    """

    headline: str
    truth: str | None = None
    probabilities: Sequence[tuple[str, float, bool]] = ()
    legend: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    name: str = ''


@dataclass
class _Flow:
    """A layout of items from left to right that starts a new row when the width is used up."""

    width: int
    margin: int
    row_height: int
    strokes: list[Callable[[ImageDraw.ImageDraw], None]] = field(default_factory=list)
    tiles: list[tuple[int, int, str]] = field(default_factory=list)
    x: int = 0
    y: int = 0

    def __post_init__(self) -> None:
        self.x, self.y = self.margin, self.margin // 2

    def place(self, width: float) -> tuple[int, int]:
        if self.x > self.margin and self.x + width > self.width - self.margin:
            self.next_row()
        spot = self.x, self.y
        self.x += int(np.ceil(width)) + 2 * self.margin
        return spot

    def next_row(self) -> None:
        if self.x > self.margin:
            self.x, self.y = self.margin, self.y + self.row_height

    @property
    def room(self) -> int:
        return self.width - 2 * self.margin

    def text(self, text: str, font: ImageFont.FreeTypeFont, color: Color = INK) -> None:
        text = fit_text(text, font, self.room)
        self.write(self.place(font.getlength(text)), text, font, color)

    def write(self, spot: tuple[int, int], text: str, font: ImageFont.FreeTypeFont, color: Color = INK) -> None:
        self.strokes.append(lambda pen: pen.text(spot, text, font=font, fill=color))


def draw_caption(caption: Caption, width: int) -> np.ndarray:
    """Draw a caption strip.

    Args:
        caption: its content.
        width: width of the image above it in pixels.

    Returns:
        RGB uint8, shape (h, width, 3), as high as the text requires.
    """
    size = int(np.clip(width / 48, 13, 24))
    plain, bold, small = load_font(size), load_font(size, bold=True), load_font(max(size - 2, 11))
    flow = _Flow(width, margin=size, row_height=int(size * 1.6))
    flow.text(caption.headline, bold)
    if caption.truth:
        flow.text(caption.truth, plain)
    if caption.probabilities:
        flow.text('independent class probabilities:', small, FAINT)
    flow.next_row()
    for class_name, probability, predicted in caption.probabilities:
        _probability_cell(flow, class_name, probability, bold if predicted else plain, size)
    flow.next_row()
    for kind, text in caption.legend:
        text = fit_text(text, small, flow.room - int(2.6 * size))
        x, y = flow.place(2.6 * size + small.getlength(text))
        flow.tiles.append((x, y, kind))
        flow.write((x + int(2.6 * size), y), text, small)
    flow.next_row()
    for note in caption.notes:
        flow.text(note, small)
    flow.next_row()
    room = flow.room - small.getlength(SHORT_NOTICE) - 2 * size
    flow.text(fit_text(caption.name, small, max(room, size)), small, FAINT)
    flow.write((width - flow.margin - int(small.getlength(SHORT_NOTICE)), flow.y), SHORT_NOTICE, small, FAINT)

    canvas = Image.new('RGB', (width, flow.y + flow.row_height + flow.margin // 4), PAPER)
    pen = ImageDraw.Draw(canvas)
    for stroke in flow.strokes:
        stroke(pen)
    strip = np.array(canvas)
    for x, y, kind in flow.tiles:
        _draw_tile(strip[y : y + int(1.25 * size), x : x + int(2.1 * size)], kind)
    return strip


def _probability_cell(flow: _Flow, name: str, probability: float, font: ImageFont.FreeTypeFont, size: int) -> None:
    """Draw a class name, a bar filled to its probability, and the number."""
    bar, number = 4 * size, f'{probability:.3f}'
    name = fit_text(name, font, flow.room - bar - font.getlength(number) - size)
    name_width = font.getlength(name)
    x, y = flow.place(name_width + bar + size + font.getlength(number))
    left = x + int(name_width) + size // 2
    filled = int(round((bar - 3) * min(max(probability, 0.0), 1.0))) if np.isfinite(probability) else 0

    def stroke(pen: ImageDraw.ImageDraw) -> None:
        pen.text((x, y), name, font=font, fill=INK)
        top, bottom = y + size // 4, y + size
        pen.rectangle((left, top, left + bar - 1, bottom), outline=INK, fill=(255, 255, 255))
        if filled:
            pen.rectangle((left + 1, top + 1, left + filled, bottom - 1), fill=(70, 70, 70))
        pen.text((left + bar + size // 2, y), number, font=font, fill=INK)

    flow.strokes.append(stroke)


def _draw_tile(tile: np.ndarray, kind: str) -> None:
    """Draw a sample of a line style, as in the image."""
    tile[:] = TILE
    height, width = tile.shape[:2]
    inset = max(3, height // 6)
    corners = (inset, inset, width - 1 - inset, height - 1 - inset)
    blob = np.zeros((height, width), dtype=np.uint8)
    cv2.ellipse(blob, (width // 2, height // 2), (width // 2 - 2 * inset, height // 2 - inset - 2), 0, 0, 360, 1, -1)
    style, label = kind.rstrip('0123456789'), kind.lstrip('abcdefghijklmnopqrstuvwxyz_')
    if style == 'truth':
        draw_dashes(tile, rectangle_points(corners), TRUTH_COLOR, 2, dash=6, gap=5)
    elif style == 'roi':
        draw_dashes(tile, rectangle_points(corners), ROI_COLOR, 1, dash=2, gap=3)
    else:
        color = lesion_color(int(label or 0))
        if style == 'lesion':
            tint(tile, blob.astype(bool), color)
            cv2.polylines(tile, mask_outlines(blob, 1), True, color, 2)
        cv2.rectangle(tile, corners[:2], corners[2:], color, 1)
