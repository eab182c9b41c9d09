"""Drawing of lesions: subpleural ground-glass patches (COVID-19) and large consolidations (common pneumonia)."""

import cv2
import numpy as np

from .anatomy import Canvas
from .patient import Lesion, Patient

BACKGROUND, LUNG, GGO, CONSOLIDATION = 0, 1, 2, 3  # values of CNCB-NCOV's lesion masks
_TURN = np.linspace(0, 2 * np.pi, 72, endpoint=False)
_MIN_RADIUS = 0.05  # units: about 13 pixels at 512 x 512
_MIN_AREA = 0.0065  # square units: 426 pixels at 512 x 512, 106 at 256 x 256, so the converters drop none


def lesions_at(patient: Patient, level: float) -> list[tuple[Lesion, float]]:
    """Return the lesions of a patient that intersect a level, each with its radius there in units.

    Disease is visible at every level, COVID-19 in both lungs: if too few lesions intersect a level, the nearest ones are
    extended to it.
    """
    cut = [(lesion, lesion.radius_at(level)) for lesion in patient.lesions]
    cut = [(lesion, radius) for lesion, radius in cut if radius >= _MIN_RADIUS]
    rest = sorted(patient.lesions, key=lambda lesion: abs(level - lesion.level) / lesion.half_height)
    for lesion in rest:
        # Common pneumonia needs one lesion, COVID-19 two in each lung, apart from each other.
        near = [one for one, _ in cut if patient.label == 1 or one.side == lesion.side]
        if len(near) < patient.label and all(abs(one.angle - lesion.angle) > 0.35 for one in near):
            cut.append((lesion, max(1.3 * _MIN_RADIUS, 0.75 * lesion.radius)))
    return cut


def _centre(canvas: Canvas, lesion: Lesion, radius: float, lung: np.ndarray, covid: bool) -> np.ndarray:
    """Return the centre of a lesion in pixels (x, y), placed relative to its lung (uint8 mask, not empty)."""
    moments = cv2.moments(lung, binaryImage=True)
    middle = np.array([moments['m10'], moments['m01']]) / moments['m00']
    way = np.array([lesion.side * np.cos(lesion.angle), np.sin(lesion.angle)])
    steps = np.arange(0, canvas.size)[:, None] * way + middle
    inside = np.clip(np.round(steps).astype(int), 0, canvas.size - 1)
    hits = np.flatnonzero(lung[inside[:, 1], inside[:, 0]])
    edge = middle + way * (hits[-1] if len(hits) else 0)
    if covid:
        return edge - way * radius * canvas.scale * lesion.depth
    return middle + (edge - middle) * lesion.depth


def _outline(lesion: Lesion, centre: np.ndarray, radius: float, turn: float, rough: float) -> np.ndarray:
    """Return an irregular rounded outline, (n, 2); lengths in pixels, `turn` the direction of the long axis in radians."""
    rng = np.random.default_rng(lesion.key)
    swell = np.ones_like(_TURN)
    for order in range(2, 12):
        swell += rough * rng.normal() / order**0.8 * np.cos(order * _TURN + rng.uniform(0, 2 * np.pi))
    long = radius * lesion.aspect**0.5 * swell * np.cos(_TURN)
    short = radius / lesion.aspect**0.5 * swell * np.sin(_TURN)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([centre[0] + long * cos - short * sin, centre[1] + long * sin + short * cos], axis=1)


def _fill(image: np.ndarray, outline: np.ndarray, value: int) -> None:
    cv2.fillPoly(image, [np.round(outline * 16).astype(np.int32)], value, shift=4)


def _bronchogram(image: np.ndarray, lesion: Lesion, centre: np.ndarray, radius: float, turn: float) -> None:
    """Draw air-filled bronchi in a consolidation as short bent lines into a uint8 array; lengths in pixels."""
    rng = np.random.default_rng([lesion.key, 1])
    for _ in range(int(rng.integers(2, 5))):
        place, way = rng.uniform(-0.5, 0.5, 2), turn + rng.normal(0, 0.35)
        points = [centre + radius * place]
        for _ in range(3):
            way += rng.normal(0, 0.3)
            points.append(points[-1] + radius * rng.uniform(0.1, 0.2) * np.array([np.cos(way), np.sin(way)]))
        thick = max(1.0, 0.05 * radius * rng.uniform(0.7, 1.4))
        line = np.round(np.array(points) * 16).astype(np.int32)
        cv2.polylines(image, [line], False, int(rng.integers(150, 256)), int(round(thick)), cv2.LINE_AA, 4)


def _drop_small(mask: np.ndarray, least: float) -> np.ndarray:
    """Remove 8-connected components below an area in pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least
    keep[0] = False
    return mask * keep[labels] if count > 1 else mask


def draw_lesions(
    canvas: Canvas, patient: Patient, level: float, lungs: np.ndarray, texture: np.ndarray, grain: np.ndarray
) -> np.ndarray:
    """Draw the lesions of a level into the canvas and return the mask.

    Args:
        canvas: image to draw into, HU.
        patient: the patient.
        level: level of the slice, 0 to 1.
        lungs: lung mask, bool, shape (size, size).
        texture, grain: low- and high-frequency noise, float32, shape (size, size), about -2 to 2.

    Returns:
        Mask, uint8, shape (size, size): 0 background, 1 lung, 2 ground-glass opacity, 3 consolidation.
    """
    size, scale = canvas.size, canvas.scale
    covid = patient.label == 2
    middle = canvas.pixels(np.zeros((1, 2)))[0, 0]
    columns = np.arange(size) >= middle
    kinds = np.zeros((size, size), np.uint8)  # GGO and CONSOLIDATION, as in the mask
    nets = np.zeros((size, size), np.uint8)
    air = np.zeros((size, size), np.uint8)
    placed: list[tuple[np.ndarray, float]] = []
    for lesion, radius in lesions_at(patient, level):
        lung = (lungs & (columns if lesion.side > 0 else ~columns)).astype(np.uint8)
        area = int(lung.sum())
        if area < 4 * _MIN_AREA * scale**2:
            continue
        radius = min(radius, 0.36 * (area / np.pi) ** 0.5 / scale * (1.0 if covid else 1.6))
        centre = _centre(canvas, lesion, radius, lung, covid)
        pixels = radius * scale
        reach = pixels * lesion.aspect**0.5
        if any(np.hypot(*(centre - other)) < 1.02 * (reach + far) + 0.012 * scale for other, far in placed):
            continue
        placed.append((centre, reach))
        along = np.arctan2(np.sin(lesion.angle), lesion.side * np.cos(lesion.angle))
        shape = np.zeros((size, size), np.uint8)
        if covid:
            # Patches lie along the pleura.
            outline = _outline(lesion, centre, pixels, along + np.pi / 2, 0.09)
            _fill(shape, outline, GGO)
            if lesion.consolidated:
                _fill(shape, _outline(lesion, centre, 0.5 * pixels, along, 0.11), CONSOLIDATION)
            if lesion.reticular:
                _fill(nets, outline, 255)
        else:
            if lesion.halo:
                _fill(shape, _outline(lesion, centre, pixels + lesion.halo * scale, along, 0.14), GGO)
            _fill(shape, _outline(lesion, centre, pixels, along, 0.14), CONSOLIDATION)
            _bronchogram(air, lesion, centre, pixels, along)
        kinds = np.maximum(kinds, shape * lung)
    kinds = _drop_small(kinds, _MIN_AREA * scale**2)
    mask = np.where(kinds > 0, kinds, lungs.astype(np.uint8))
    if kinds.any():
        _shade(canvas, kinds, lungs, nets, air, texture, grain)
    return mask


def _shade(
    canvas: Canvas,
    kinds: np.ndarray,
    lungs: np.ndarray,
    nets: np.ndarray,
    air: np.ndarray,
    texture: np.ndarray,
    grain: np.ndarray,
) -> None:
    """Turn lesion masks into densities: the share of air replaced by fluid or cells."""
    soft = 0.006 * canvas.scale
    glass = cv2.GaussianBlur((kinds > 0).astype(np.float32), (0, 0), soft) * lungs
    dense = cv2.GaussianBlur((kinds == CONSOLIDATION).astype(np.float32), (0, 0), 0.7 * soft) * lungs
    fill = 0.33 + 0.045 * texture
    if nets.any():
        lines = cv2.GaussianBlur((np.abs(grain) < 0.22).astype(np.float32), (0, 0), 0.004 * canvas.scale)
        fill = fill + 0.22 * lines * (nets > 0)
    share = np.clip(glass * fill, 0, 1)
    share = share + (0.88 + 0.035 * texture + 0.015 * grain - share) * dense
    inside = cv2.erode((kinds == CONSOLIDATION).astype(np.uint8), np.ones((3, 3), np.uint8))
    share = share * (1 - 0.75 * (air.astype(np.float32) / 255) * inside)
    canvas.hu += (25.0 - canvas.hu) * share
