"""Drawing of the chest at one level: body wall, bones, mediastinum, lungs, vessels and airways, in Hounsfield units."""

from collections.abc import Sequence

import cv2
import numpy as np

from .patient import HEIGHT, Patient, thorax_axes

AIR, FAT, TISSUE, BLOOD, CORTEX = -1000.0, -105.0, 45.0, 38.0, 600.0
_SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions
_TURN = np.linspace(0, 2 * np.pi, 120, endpoint=False)


class Canvas:
    """A square image in Hounsfield units, on which shapes in phantom units are drawn.

    Args:
        patient: the patient, for tilt and shift of the body on the table.
        size: side length of the image, pixels.
        zoom: magnification of the field of view.
    """

    def __init__(self, patient: Patient, size: int, zoom: float) -> None:
        self.hu: np.ndarray = np.full((size, size), AIR, dtype=np.float32)
        self.size = size
        self.scale = 0.5 * size * zoom  # pixels per unit
        cos, sin = np.cos(patient.tilt), np.sin(patient.tilt)
        self._turn = np.array([[cos, sin], [-sin, cos]])
        self._shift = np.array(patient.shift)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Return the pixel coordinates, float, shape (n, 2), of points (n, 2) in units."""
        return (points @ self._turn + self._shift) * self.scale + 0.5 * self.size - 0.5

    def fill(self, points: np.ndarray, value: float, image: np.ndarray | None = None) -> None:
        """Fill a polygon, (n, 2) in units, in the image or in another array of the same size."""
        corners = np.round(self.pixels(points) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.hu if image is None else image, [corners], value, shift=_SHIFT)

    def line(self, points: np.ndarray, width: float, image: np.ndarray, value: int = 255) -> None:
        """Draw a polyline with a width in units into a uint8 array; a line thinner than a pixel is drawn fainter instead."""
        thick = width * self.scale
        corners = np.round(self.pixels(points) * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(
            image, [corners], False, int(round(value * min(1.0, thick))), max(1, int(round(thick))), cv2.LINE_AA, _SHIFT
        )


def ellipse(x: float, y: float, a: float, b: float, turn: float = 0.0, power: float = 2.0) -> np.ndarray:
    """Return points (n, 2) of an ellipse, or of a superellipse if ``power`` is above 2; ``turn`` in radians."""
    cos, sin = np.cos(_TURN), np.sin(_TURN)
    px = a * np.sign(cos) * np.abs(cos) ** (2 / power)
    py = b * np.sign(sin) * np.abs(sin) ** (2 / power)
    return np.stack([x + px * np.cos(turn) - py * np.sin(turn), y + px * np.sin(turn) + py * np.cos(turn)], axis=1)


def thorax_outline(patient: Patient, level: float, wider: float = 0.0) -> np.ndarray:
    """Return the inner outline of the rib cage at a level, narrower in front, (n, 2) units; `wider` moves it outwards."""
    a, b = thorax_axes(level, patient.thorax)
    points = ellipse(0, 0, a + wider, b + wider, power=2.25)
    points[:, 0] *= 1 + (0.10 + 0.03 * patient.outline[0]) * points[:, 1] / b - 0.04
    return points


def body_outline(patient: Patient, level: float) -> np.ndarray:
    """Return the outline of the skin at a level, (n, 2) units, before tilt and shift."""
    a = np.interp(level, (0, 0.15, 0.35, 0.6, 1), (0.99, 0.95, 0.87, 0.82, 0.81)) * patient.breadth
    b = np.interp(level, (0, 0.15, 0.35, 0.6, 1), (0.43, 0.48, 0.55, 0.575, 0.58)) * patient.depth
    points = ellipse(0, 0.04, a, b, power=2.25)
    angle = np.arctan2(points[:, 1], points[:, 0])
    swell = 1 + 0.004 * sum(amount * np.cos((order + 2) * angle + 5 * amount) for order, amount in enumerate(patient.outline))
    here = np.exp(-(((level - 0.55) / 0.22) ** 2)) * patient.breast
    for centre in (-np.pi / 2 - 0.72, -np.pi / 2 + 0.72):
        swell = swell + here * np.exp(-(((angle - centre) / 0.33) ** 2))
    # Shallow hollows over the sternum and the spine.
    swell = swell - 0.035 * np.exp(-(((angle + np.pi / 2) / 0.2) ** 2))
    swell = swell - 0.02 * np.exp(-(((angle - np.pi / 2) / 0.12) ** 2))
    return np.stack([points[:, 0] * swell, 0.04 + (points[:, 1] - 0.04) * swell], axis=1)


def body_box(patient: Patient, level: float, size: int, zoom: float = 1.0) -> tuple[int, int, int, int]:
    """Return the body box in the image: xmin, ymin, xmax, ymax in pixels, maxima exclusive, as listed by COVIDx-CT."""
    pixels = Canvas(patient, size, zoom).pixels(body_outline(patient, level))
    low = np.clip(np.floor(pixels.min(0)), 0, size - 1).astype(int)
    high = np.clip(np.ceil(pixels.max(0)) + 1, 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _table(canvas: Canvas, patient: Patient) -> None:
    """Draw the table, flat or curved, as two thin bright lines; outside the field of view if the patient is thick."""
    top = 0.64 * patient.depth + 0.03
    x = np.linspace(-0.62, 0.62, 40)
    bend = 0.10 * patient.table
    upper = np.stack([x, top + bend * (1 - (x / 0.62) ** 2) - bend], axis=1)
    lower = np.stack([x * 0.93, top + 0.07 + bend * (1 - (x / 0.62) ** 2) - 0.6 * bend], axis=1)
    lines = np.zeros(canvas.hu.shape, np.uint8)
    canvas.fill(np.concatenate([upper, lower[::-1]]), -930.0)
    canvas.line(np.concatenate([upper, lower[::-1], upper[:1]]), 0.012, lines)
    canvas.hu += lines.astype(np.float32) * (550 / 255)


def _wall(canvas: Canvas, patient: Patient, level: float, back: float) -> None:
    """Draw skin, fat and the muscles outside the rib cage."""
    outline = body_outline(patient, level)
    outside = canvas.hu.copy()
    canvas.fill(outline, 10.0)
    canvas.fill(np.array([0, 0.04]) + (outline - np.array([0, 0.04])) * 0.981, FAT)
    a, b = thorax_axes(level, patient.thorax)
    muscle = patient.muscle
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.13, back + 0.2, 0.12, 0.055 * muscle, side * -0.2), TISSUE)  # erector spinae
        canvas.fill(ellipse(side * 0.30, -b - 0.06, 0.22, 0.045 * muscle, side * 0.32), TISSUE)  # pectoral muscles
        canvas.fill(ellipse(side * (a + 0.07), 0.14, 0.055 * muscle, 0.22, side * 0.30), TISSUE)  # latissimus
        shoulder = np.interp(level, (0, 0.4), (1, 0))
        if shoulder > 0.1:  # muscles around the scapula
            canvas.fill(ellipse(side * 0.60, 0.12, 0.25 * shoulder, 0.14, side * 0.5), TISSUE)
            canvas.fill(ellipse(side * 0.62, -0.12, 0.2 * shoulder, 0.07, side * 0.5), TISSUE)
    canvas.fill(thorax_outline(patient, level, 0.068), TISSUE)
    canvas.fill(thorax_outline(patient, level, 0.048), FAT + 30)  # fat between the muscles and the ribs
    canvas.fill(thorax_outline(patient, level, 0.026), 10.0)
    skin = np.zeros(canvas.hu.shape, np.uint8)
    canvas.fill(outline, 1, skin)
    canvas.hu = np.where(skin > 0, canvas.hu, outside)


def _bone(canvas: Canvas, points: np.ndarray, marrow: float, rim: float) -> None:
    """Draw a bone: bright cortex with a thickness of ``rim`` units, marrow inside."""
    centre = points.mean(0)
    reach = np.abs(points - centre).max(0)
    canvas.fill(points, CORTEX)
    canvas.fill(centre + (points - centre) * np.maximum(0.2, 1 - rim / np.maximum(reach, 1e-6)), marrow)


def _bones(canvas: Canvas, patient: Patient, level: float, back: float) -> None:
    """Draw spine, ribs, sternum, scapulae and clavicles."""
    a, b = thorax_axes(level, patient.thorax)
    marrow = 90.0 * patient.bone
    wall = thorax_outline(patient, level, 0.024)
    for side in (-1, 1):
        # Ribs run obliquely: from level to level their cross-sections move along the wall.
        for index in range(6):
            angle = -1.15 + 0.47 * (index + (patient.rib_phase + 5 * level) % 1.0)
            if angle > 1.35:
                continue
            # As a share of the outline, so that the rib stays on the wall.
            place = int(round(angle / (2 * np.pi) * len(wall))) % len(wall)
            x, y = wall[place]
            along = wall[(place + 2) % len(wall)] - wall[place - 2]
            long = 0.062 + 0.03 * np.cos(7.0 * index + 9 * patient.rib_phase + 4 * level)
            _bone(canvas, ellipse(side * x, y, long, 0.021, np.arctan2(along[1], side * along[0])), marrow, 0.009)
        if level < 0.45:
            fade = 1 - level / 0.6
            y = 0.17 - 0.1 * level
            _bone(canvas, ellipse(side * (a + 0.14), y, 0.19 * fade, 0.022, side * -0.85), marrow, 0.009)
            _bone(canvas, ellipse(side * (a + 0.24), 0.04, 0.10 * fade, 0.024, side * 0.3), marrow, 0.009)
        if level < 0.14:
            _bone(canvas, ellipse(side * 0.17, -b - 0.03, 0.085, 0.027, side * -0.5), marrow, 0.009)
        # Transverse processes and rib heads beside the vertebra.
        _bone(canvas, ellipse(side * 0.125, back + 0.095, 0.075, 0.022, side * 0.5), marrow + 60, 0.007)
    canvas.fill(ellipse(0, back + 0.12, 0.075, 0.06), CORTEX - 200)
    _bone(canvas, ellipse(0, back + 0.19, 0.014, 0.06), marrow + 80, 0.006)  # spinous process
    _bone(canvas, ellipse(0, back, 0.098, 0.078, power=2.4), marrow + 40, 0.009)
    canvas.fill(ellipse(0, back + 0.105, 0.044, 0.037), 25.0)  # spinal canal
    if level > 0.12:
        width = np.interp(level, (0.12, 0.25, 0.8), (0.11, 0.085, 0.06))
        _bone(canvas, ellipse(0, -b - 0.045, width, 0.026, power=3.5), marrow - 20, 0.008)


def _bump(level: float, centre: float, half: float) -> float:
    """Return a semicircle over the levels: 1 at ``centre``, 0 from a distance of ``half`` on."""
    return max(0.0, 1 - ((level - centre) / half) ** 2) ** 0.5


def _mediastinum(patient: Patient, level: float, back: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the outlines of organs (heart, vessels and others) and of the fat around them, which displace the lungs."""
    a, b = thorax_axes(level, patient.thorax)
    big = patient.heart
    organs = []
    lateral = np.interp(level, (0, 0.2, 0.4, 0.6, 1), (0.13, 0.12, 0.11, 0.08, 0.08))
    front = np.interp(level, (0, 0.1, 0.25, 0.4), (0.10, 0.07, 0.035, 0.014))
    right = np.array([(front, -b - 0.1), (lateral, -0.35 * b), (lateral, back), (0.10, back + 0.05), (0.17, b + 0.1)])
    holds = [np.concatenate([right, right[::-1] * (-1, 1)]), ellipse(0, back, 0.116, 0.098)]
    for x, y, size, centre, half in (
        (-0.09, -0.10, 0.045, 0.25, 0.30),
        (0.08, -0.08, 0.036, 0.08, 0.16),
        (0.02, -0.15, 0.034, 0.08, 0.16),
        (0.115, 0.05, 0.034, 0.05, 0.18),
        (-0.075, -0.13, 0.068, 0.5, 0.16),
        (0.04, -0.13, 0.075, 0.54, 0.12),
    ):
        here = _bump(level, centre, half)
        if here > 0.15:  # great vessels: vena cava, carotid and subclavian arteries, ascending aorta, pulmonary trunk
            organs.append(ellipse(x, y, size * here**0.5, size * here**0.5 * 0.95))
    arch = _bump(level, 0.36, 0.07)
    if arch > 0.2:  # aortic arch, left of the trachea
        organs.append(ellipse(0.07, -0.02, 0.06, 0.19 * arch, 0.30))
    if level > 0.36:
        organs.append(ellipse(0.095, back - 0.075, 0.056 * big, 0.056 * big))  # descending aorta
    organs.append(ellipse(0.0, back - 0.12, 0.028, 0.02))  # oesophagus
    hilum = _bump(level, 0.55, 0.14)
    for side in (-1, 1):
        if hilum > 0.2:  # lung roots
            organs.append(ellipse(side * 0.15, 0.0, 0.085 * hilum, 0.045 * hilum, side * 0.45))
            organs.append(ellipse(side * 0.19, 0.045, 0.035 * hilum, 0.05 * hilum, side * -0.4))
    heart = _bump(level, 0.82, 0.27) if level < 0.82 else 1.0
    if heart > 0.05:
        reach = heart**0.7 * big
        organs.append(ellipse(0.055 + 0.035 * heart, -0.08 - 0.03 * heart, 0.245 * reach, 0.19 * reach, 0.55))
        organs.append(ellipse(-0.07, -0.04, 0.12 * reach, 0.15 * reach))
    liver = np.sqrt(max(0.0, (level - 0.8) / 0.2))
    if liver > 0.1:  # domes of the diaphragm
        organs.append(ellipse(-0.26 * a / 0.6, -0.03, 0.27 * liver, 0.30 * liver, 0.3, 2.3))
    spleen = np.sqrt(max(0.0, (level - 0.86) / 0.2))
    if spleen > 0.1:
        organs.append(ellipse(0.27 * a / 0.6, 0.02, 0.25 * spleen, 0.26 * spleen, -0.4, 2.3))
    return organs, holds


def _airways(canvas: Canvas, level: float) -> None:
    """Draw the trachea, the carina and the main bronchi, dark with a thin wall."""
    pipes: list[Sequence[float]] = []
    if level < 0.49:
        y = np.interp(level, (0, 0.49), (-0.06, 0.03))
        wide = np.interp(level, (0.40, 0.49), (1.0, 1.5))
        pipes.append((0.0, y, 0.052 * wide, 0.05, 0.0))
    elif level < 0.66:
        way = (level - 0.47) / 0.19
        for side in (-1, 1):
            pipes.append((side * (0.045 + 0.11 * way), 0.03 + 0.03 * way, 0.043 - 0.012 * way, 0.036 - 0.008 * way, side * 0.5))
    elif level < 0.85:
        way = (level - 0.66) / 0.19
        for side in (-1, 1):
            pipes.append((side * (0.17 + 0.03 * way), 0.07 + 0.05 * way, 0.021 - 0.006 * way, 0.02 - 0.006 * way, 0.0))
    for x, y, wide, high, turn in pipes:
        canvas.fill(ellipse(x, y, wide + 0.011, high + 0.011, turn), TISSUE - 10)
        canvas.fill(ellipse(x, y, wide, high, turn), AIR)


def _vessels(canvas: Canvas, patient: Patient, level: float, lungs: np.ndarray) -> None:
    """Draw the cross-section of the vessel trees, with a bronchus beside each of the larger vessels."""
    half = 0.017
    z = level * HEIGHT
    part = patient.vessels
    part = part[(np.minimum(part[:, 2], part[:, 5]) < z + half) & (np.maximum(part[:, 2], part[:, 5]) > z - half)]
    drawn = np.zeros(lungs.shape, np.uint8)
    lumen = np.zeros(lungs.shape, np.uint8)
    for start, end, radius in zip(part[:, :3], part[:, 3:6], part[:, 6]):
        rise = end[2] - start[2]
        low, high = 0.0, 1.0
        if abs(rise) > 1e-6:
            low, high = sorted(((z - half - start[2]) / rise, (z + half - start[2]) / rise))
            low, high = max(low, 0.0), min(high, 1.0)
        ends = np.stack([start + (end - start) * low, start + (end - start) * high])[:, :2]
        if radius > 0.0115 and np.hypot(*(ends[1] - ends[0])) < 0.05:
            beside = ends + np.array([[-0.6, 1.0]]) * radius * 1.7
            canvas.line(beside, 2.0 * radius, drawn, 200)
            canvas.line(beside, 1.25 * radius, lumen)
        canvas.line(ends, 2 * radius, drawn)
    drawn = cv2.GaussianBlur(drawn, (0, 0), 0.0022 * canvas.scale)
    share = (drawn.astype(np.float32) / 255) * lungs
    canvas.hu += (BLOOD - canvas.hu) * share
    canvas.hu += (AIR + 40 - canvas.hu) * (lumen.astype(np.float32) / 255) * lungs


def draw_chest(patient: Patient, level: float, size: int, zoom: float, texture: np.ndarray) -> tuple[Canvas, np.ndarray]:
    """Draw one level of a patient without lesions, noise or blur.

    Args:
        patient: the patient.
        level: level of the slice, 0 to 1.
        size: side length of the image, pixels.
        zoom: magnification of the field of view.
        texture: low-frequency noise, float32, shape (size, size), about -2 to 2.

    Returns:
        The canvas, and the lung mask, bool, shape (size, size).
    """
    canvas = Canvas(patient, size, zoom)
    a, b = thorax_axes(level, patient.thorax)
    back = 0.60 * b + 0.01
    _table(canvas, patient)
    _wall(canvas, patient, level, back)
    organs, holds = _mediastinum(patient, level, back)

    lungs = np.zeros((size, size), np.uint8)
    canvas.fill(thorax_outline(patient, level), 255, lungs)
    canvas.fill(thorax_outline(patient, level), FAT + 55)
    for outline in holds:
        canvas.fill(outline, 0, lungs)
    for outline in organs:
        canvas.fill(outline, 0, lungs)
        canvas.fill(outline, BLOOD)
    _bones(canvas, patient, level, back)
    canvas.hu += 9 * texture * (canvas.hu > -300)
    # Real outlines have no corners.
    lungs = cv2.GaussianBlur(lungs, (0, 0), 0.022 * canvas.scale) > 127
    tissue = cv2.GaussianBlur(canvas.hu, (0, 0), 0.006 * canvas.scale)
    depth = np.linspace(-1, 1, size, dtype=np.float32)[:, None]
    canvas.hu = np.where(lungs, patient.lung_hu + 45 * depth + 11 * texture, tissue)
    _vessels(canvas, patient, level, lungs)
    _airways(canvas, level)
    return canvas, lungs
