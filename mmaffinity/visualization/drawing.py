"""Drawing of lines and labels on RGB arrays: dashed outlines, fitted text, label placement."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

# Line styles differ as well as colours, so that they can be told apart in a grayscale print.
TRUTH_COLOR: Color = (70, 225, 255)
ROI_COLOR: Color = (255, 255, 255)
LESION_COLORS: tuple[Color, ...] = ((255, 184, 40), (255, 130, 210), (160, 240, 100), (205, 180, 255))
TAG_COLOR: Color = (20, 20, 20)


@lru_cache(maxsize=64)
def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans from Matplotlib, so that text looks the same on every machine; size in pixels."""
    return ImageFont.truetype(findfont(FontProperties(family='DejaVu Sans', weight='bold' if bold else 'normal')), size)


def fit_text(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Shorten ``text`` with an ellipsis in the middle to at most ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        shortened = f'{text[: (kept + 1) // 2]}\u2026{text[len(text) - kept // 2 :]}'
        if font.getlength(shortened) <= width:
            return shortened
    return '\u2026'


def lesion_color(label: int) -> Color:
    return LESION_COLORS[label % len(LESION_COLORS)]


def draw_dashes(picture: np.ndarray, points: np.ndarray, color: Color, thickness: int, dash: float, gap: float) -> None:
    """Draw a closed outline as dashes over a dark line of the same thickness, for contrast on bright tissue.

    Args:
        picture: RGB uint8, shape (H, W, 3), modified in place.
        points: corners of the outline, x y in pixels of the image, shape (n, 2).
        color: colour of the dashes.
        thickness: thickness of the dashes in pixels.
        dash: length of a dash in pixels.
        gap: space between two dashes in pixels.
    """
    corners = np.concatenate([points, points[:1]]).astype(np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    steps = np.arange(0.0, max(lengths[-1], 1.0))
    walk = np.stack([np.interp(steps, lengths, corners[:, axis]) for axis in range(2)], axis=1)
    walk = np.rint(walk).astype(np.int32)
    cv2.polylines(picture, [walk], True, TAG_COLOR, thickness)
    pieces = np.split(walk, np.flatnonzero(np.diff(steps // (dash + gap))) + 1)
    # Repeat the first point, because OpenCV draws nothing for a single point.
    strokes = [np.concatenate([piece[:1], piece[: max(int(dash), 1)]]) for piece in pieces]
    cv2.polylines(picture, strokes, False, color, thickness)


def box_corners(box: np.ndarray, scale: int, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box of the slice as its first and last drawn pixels, x1 y1 x2 y2, clipped to an image of ``shape`` (H, W)."""
    height, width = shape
    x1, y1, x2, y2 = np.rint(np.asarray(box, dtype=np.float64) * scale)
    x1, y1 = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
    return x1, y1, min(max(int(x2) - 1, x1), width - 1), min(max(int(y2) - 1, y1), height - 1)


def rectangle_points(corners: tuple[int, int, int, int]) -> np.ndarray:
    x1, y1, x2, y2 = corners
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


class Labels:
    """Text labels beside the boxes of an image, placed within the image and without overlaps.

    Args:
        shape: (H, W) of the image in pixels.
        font_size: font size in pixels.
    """

    def __init__(self, shape: tuple[int, int], font_size: int) -> None:
        self.height, self.width = shape
        self.font = load_font(font_size, bold=True)
        self.pad = max(1, font_size // 6)
        ascent, descent = self.font.getmetrics()
        self.tag_height = ascent + descent
        self.placed: list[tuple[int, int, int, int, str, Color]] = []
        self.num_left_out = 0

    def add(self, text: str, corners: tuple[int, int, int, int], color: Color) -> bool:
        """Place ``text`` in a free spot at a box; return whether there was one."""
        width = int(np.ceil(self.font.getlength(text))) + 2 * self.pad
        place = self._free_place(width, corners)
        if place is None:
            self.num_left_out += 1
            return False
        self.placed.append((*place, place[0] + width, place[1] + self.tag_height, text, color))
        return True

    def _free_place(self, width: int, corners: tuple[int, int, int, int]) -> tuple[int, int] | None:
        x1, y1, x2, y2 = corners
        height = self.tag_height
        lefts = (x1, x2 + 1 - width)
        places = [(left, top) for top in (y1 - height, y2 + 1) for left in lefts]
        places += [(x2 + 2, y1), (x1 - 1 - width, y1)]  # beside the box
        places += [(left, top) for top in (y1, y2 + 1 - height) for left in lefts]  # inside it
        for left, top in places:
            left = min(max(left, 0), self.width - width)
            if left < 0 or top < 0 or top + height > self.height:
                continue
            if all(
                left >= x_end or left + width <= x or top >= y_end or top + height <= y
                for x, y, x_end, y_end, _, _ in self.placed
            ):
                return left, top
        return None

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """Return a copy of the image with the labels."""
        canvas = Image.fromarray(picture)
        pen = ImageDraw.Draw(canvas)
        for x, y, x_end, y_end, text, color in self.placed:
            pen.rectangle((x, y, x_end - 1, y_end - 1), fill=TAG_COLOR)
            pen.text((x + self.pad, y), text, font=self.font, fill=color)
        return np.array(canvas)


def tint(picture: np.ndarray, mask: np.ndarray, color: Color, strength: float = 0.28) -> None:
    """Blend ``color`` into the pixels of a mask (H, W), in place; the anatomy below remains visible."""
    mixed = picture[mask] * (1.0 - strength) + np.asarray(color, dtype=np.float64) * strength
    picture[mask] = np.rint(mixed).astype(np.uint8)


def mask_outlines(mask: np.ndarray, scale: int) -> Sequence[np.ndarray]:
    """Return the outlines of a boolean mask (H, W), including holes: x y through scaled border-pixel centres, (n, 2) each."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [np.rint(outline[:, 0] * float(scale) + (scale - 1) / 2).astype(np.int32) for outline in outlines]
