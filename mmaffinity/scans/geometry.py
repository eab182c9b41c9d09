"""Slice geometry in the patient: view, order, spacing. Vectors are in DICOM's axes: left, posterior, head; in mm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmaffinity.utils.wording import plural

from .notes import WARNING

AXIAL = 0.8  # lowest cosine between a slice's normal and the body axis; gantries tilt up to 30 degrees (0.87)
MAX_TILT = 1.0  # degrees; smaller angles are not noted
STEEPEST_STACK = 45.0  # degrees between stack axis and slice normal; beyond this, slices are side by side
SAME_PLACE = 0.05  # mm; a stationary table varies by less, and no scanner places slices this close


@dataclass(frozen=True)
class View:
    """Transformation of a stored raster to the radiological view: transpose, then flip."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def from_stored(self, raster: np.ndarray) -> np.ndarray:
        """Transform a stored raster (H, W) to the view."""
        image = raster.T if self.transpose else raster
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def to_stored(self, image: np.ndarray) -> np.ndarray:
        """Undo :meth:`from_stored`."""
        image = image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return image.T if self.transpose else image

    def spacing(self, first: float, second: float) -> tuple[float, float]:
        """Return the view's row and column spacing, given the spacing along the raster's first and second axis."""
        return (second, first) if self.transpose else (first, second)


SAME_VIEW = View()


def radiological_view(first: Sequence[float], second: Sequence[float]) -> View:
    """Return the view with the patient's left on the right of the image and the back at the bottom.

    Args:
        first, second: directions in the patient of increasing index along the raster's first (rows) and second (columns)
            axis.
    """
    if abs(first[1]) + abs(second[0]) >= abs(first[0]) + abs(second[1]):
        return View(False, bool(first[1] < 0), bool(second[0] < 0))
    return View(True, bool(second[1] < 0), bool(first[0] < 0))


def head_normal(first: Sequence[float], second: Sequence[float]) -> np.ndarray:
    """Return the unit normal of a slice, pointing to the head.

    Raises:
        ValueError: if the directions are not perpendicular, or the slice is not axial.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    if not (np.isfinite(lengths).all() and min(lengths) > 0.5 and max(lengths) < 2):
        raise ValueError('has an invalid orientation: its direction vectors do not have length 1')
    if abs(first @ second) / (lengths[0] * lengths[1]) > 0.05:
        raise ValueError('has an invalid orientation: rows and columns are not perpendicular')
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal)
    if abs(normal[2]) < AXIAL:
        plane = (
            'coronal' if abs(normal[1]) > max(abs(normal[0]), AXIAL) else 'sagittal' if abs(normal[0]) > AXIAL else 'oblique'
        )
        raise ValueError(f'is {plane}, not axial: its normal is {np.round(normal, 2).tolist()} (left, back, head)')
    return normal if normal[2] > 0 else -normal


def slab_thickness(positions: Sequence[float | None], nominal: float | None = None) -> list[float | None]:
    """Return the thickness in mm of the slab that each slice represents: halfway to its neighbours on both sides.

    Gaps from missing slices are capped at 1.5 times the median spacing, so that a volume covers only what was imaged. Slices at
    one position share its slab; if all are at one position, the thickness is None.

    Args:
        positions: sorted positions of the slices along their normal in mm.
        nominal: thickness from the header, for a scan with one slice or without positions.
    """
    if len(positions) < 2 or None in positions:
        return [nominal] * len(positions)
    places, which = _places(positions)
    if len(places) < 2:
        return [None] * len(positions)
    gaps = np.abs(np.diff(places))
    halves = np.minimum(gaps, np.median(gaps) * 1.5) / 2  # leaves uneven but complete scans unchanged
    # The outermost slabs extend as far outwards as inwards.
    halves = np.concatenate([halves[:1], halves, halves[-1:]])
    slabs = halves[:-1] + halves[1:]
    return (slabs / np.bincount(which))[which].tolist()


def _places(positions: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted distinct positions of slices in mm, and for each slice the index of its position."""
    known = np.asarray(positions, dtype=np.float64)
    moved = np.abs(np.diff(known, prepend=known[0])) > SAME_PLACE
    return known[moved | (np.arange(len(known)) == 0)], np.cumsum(moved)


def slice_spacing(positions: Sequence[float | None]) -> float | None:
    """Return the median distance between neighbouring slices in mm; None if unknown or all are at one position."""
    if len(positions) < 2 or None in positions:
        return None
    gaps = np.abs(np.diff(_places(positions)[0]))
    return float(np.median(gaps)) if gaps.size else None


def spacing_notes(positions: Sequence[float]) -> list[str]:
    """Return notes on irregular slice positions: missing, repeated, uneven.

    Args:
        positions: sorted positions in mm.
    """
    if len(positions) < 2:
        return []
    places, _ = _places(positions)
    if len(places) < 2:
        return [
            f'{WARNING}all {len(positions)} slices are at one position (bolus tracking, or one slice exported several '
            'times?): no volume is computed and no volume mask is written'
        ]
    gaps = np.abs(np.diff(places))
    usual = float(np.median(gaps))
    notes = []
    repeated = len(positions) - len(places)
    if repeated:
        notes.append(
            f'{WARNING}{repeated} of {len(positions)} slices are at the position of another slice: several scans or '
            'phases in one series? Volumes count each position once'
        )
    wide = np.flatnonzero(gaps > 1.5 * usual)
    if wide.size:
        missing = int(sum(max(1, round(gaps[at] / usual) - 1) for at in wide))
        ends = ', '.join(f'{places[at]:.1f} and {places[at + 1]:.1f} mm' for at in wide[:3])
        more = f' and {plural(wide.size - 3, "more place")}' if wide.size > 3 else ''
        notes.append(
            f'{WARNING}about {plural(missing, "slice", "is")} missing, between {ends}{more}; volumes cover only '
            'the slices present'
        )
    rest = gaps[gaps <= 1.5 * usual]
    if rest.size and np.abs(rest - usual).max() > max(0.05 * usual, 0.05):
        notes.append(f'slice spacing is uneven: {rest.min():.2f} to {rest.max():.2f} mm')
    return notes


def tilt_degrees(normal: np.ndarray, first_corner: Sequence[float], last_corner: Sequence[float]) -> float:
    """Return the angle in degrees between stack axis and slice normal: above 0 if the gantry was tilted."""
    way = np.asarray(last_corner, dtype=np.float64) - np.asarray(first_corner, dtype=np.float64)
    length = float(np.linalg.norm(way))
    if length < 1e-3:
        return 0.0
    return math.degrees(math.acos(min(1.0, abs(float(way @ normal)) / length)))
