"""Results of reading: scans, their slices, and problems."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmaffinity.utils.decoding import check_max_value

from .geometry import SAME_VIEW, View
from .opening import brief
from .windowing import TRAINING_WINDOW, Window

MIN_SIDE = 32  # pixels; CT slices are larger, and the network's stride is 16
# A hundred lesion masks of this size take 1.6 GB. CT slices have 512 x 512 pixels, rarely 2048 x 2048.
MAX_SLICE_PIXELS = 4096**2
MAX_VOXELS = 1024**3  # of a volume; a chest scan with 0.5 mm slices has about a fifth of it


@dataclass(frozen=True)
class ReadOptions:
    """Conversion of pixels to grey levels, or to colour.

    Attributes:
        window: Hounsfield window, for DICOM and NIfTI.
        rescale: (slope, intercept) to Hounsfield units for DICOM files without rescale tags and NIfTI volumes not in Hounsfield
            units; for most 12-bit data (1, -1024). With None, such files are rejected if their unit is unclear.
        max_value: pixel value of white in 16-bit images; None means 65535.
        color: read images in colour; set by the inferencer, for a model of colour images.

    Raises:
        ValueError: if a value is out of range.
    """

    window: Window = TRAINING_WINDOW
    rescale: tuple[float, float] | None = None
    max_value: int | None = None
    color: bool = False

    def __post_init__(self) -> None:
        if self.rescale is not None and not (np.isfinite(self.rescale).all() and self.rescale[0] != 0):
            raise ValueError(f'rescale is {self.rescale}: slope and intercept must be finite, and the slope not 0')
        check_max_value(self.max_value)


@dataclass(frozen=True)
class Problem:
    """An input that was not predicted, and why.

    Attributes:
        source: file, or slice of a volume.
        reason: the reason, with a fix if there is one.
        key: key of the slice in its scan; None for inputs outside a scan.
        clutter: whether the file accompanies scans but contains none, such as a disc index or a file manager's file.
        failed: whether the input was accepted, but predicting it or writing its results failed.
    """

    source: str
    reason: str
    key: str | None = None
    clutter: bool = False
    failed: bool = False

    def __str__(self) -> str:
        return f'{self.source}: {self.reason}'


@dataclass(frozen=True)
class Slice:
    """One axial slice, oriented like the training slices: patient's left on the right of the image, back at the bottom.

    Attributes:
        name: display name: file below the input, or volume and number.
        key: name and identification of the unchanged file.
        index: number in the scan, from 0.
        grey: shape (H, W), uint8, or float32 with 8-bit grey levels.
        spacing: row and column spacing of ``grey`` in mm; None if unknown.
        thickness: thickness in mm of the slab that the slice represents; None if unknown.
        position: position along the patient in mm, increasing towards the head; None if unknown.
        window: Hounsfield window of ``grey``; for images, the training window is assumed.
        view: transformation from the stored raster to ``grey``.
        notes: notes for readers of the result.
        color: if the model takes colour images, the image as BGR, uint8, shape (H, W, 3); otherwise None.
    """

    name: str
    key: str
    index: int
    grey: np.ndarray
    spacing: tuple[float, float] | None = None
    thickness: float | None = None
    position: float | None = None
    window: Window = TRAINING_WINDOW
    view: View = SAME_VIEW
    notes: tuple[str, ...] = ()
    color: np.ndarray | None = None


@dataclass
class ScanInfo:
    """What is known about a scan before its pixels are read.

    Attributes:
        name: display name; also names the output folder.
        source: file or folder.
        kind: 'dicom', 'nifti' or 'images'.
        num_slices: number of slices, including unreadable ones.
        spacing: row and column spacing in mm in the radiological view; None if unknown.
        slice_spacing: median distance between neighbouring slices in mm; None if unknown.
        study_uid, series_uid: UIDs of a DICOM series.
        affine: 4 x 4, from voxel (i, j, k) of the input to mm in NIfTI's axes (right, anterior, superior); None if unknown, or
            if no affine describes the slices, as with uneven spacing.
        shape: shape of the voxel array of ``affine``.
        notes: notes for readers of the result: missing slices, tilt, assumptions. Those that may affect the validity of the
            result start with :data:`.notes.WARNING`.
    """

    name: str
    source: str
    kind: str
    num_slices: int
    spacing: tuple[float, float] | None = None
    slice_spacing: float | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    affine: list[list[float]] | None = None
    shape: tuple[int, ...] | None = None
    notes: list[str] = field(default_factory=list)


class Scan(ABC):
    """Slices that belong together.

    A scan holds names and a few numbers per slice in memory; pixels are read one slice at a time.

    Attributes:
        info: what is known before pixels are read.
        options: conversion of pixels to grey levels.
        window: Hounsfield window of the grey levels.
        view: transformation from the stored rasters to the radiological view.
    """

    view: View = SAME_VIEW

    def __init__(self, info: ScanInfo, options: ReadOptions) -> None:
        self.info, self.options, self.window = info, options, options.window

    @property
    def identity(self) -> str:
        """Identity of the scan, independent of other scans; used to find its results when resuming."""
        return '|'.join((self.info.kind, self.info.source, self.info.name))

    def place(self, index: int) -> tuple[float | None, float | None]:
        """Return the position of slice ``index`` along the patient and its slab thickness in mm, as in :class:`Slice`."""
        return None, None

    def check(self) -> None:  # noqa: B027  (most scans have nothing to check)
        """Check the scan as a whole before prediction.

        Raises:
            ValueError: if it is not suitable for a chest-CT model.
        """

    @abstractmethod
    def keys(self) -> Sequence[str]:
        """Return the keys of the slices in order; a key changes when its file does."""

    @abstractmethod
    def slice_name(self, index: int) -> str:
        """Return the display name of a slice."""

    @abstractmethod
    def _pixels(self, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Exception, Sequence[str]]]:
        """Yield the index, values in the radiological view and notes of each wanted slice; values as for :meth:`values`.

        For a slice that cannot be read, the error takes the place of the values. A raised ValueError or MemoryError means that
        the remaining slices cannot be read either.
        """

    def _grey(self, values: np.ndarray) -> tuple[np.ndarray, Sequence[str]]:
        """Convert values to grey levels, with notes."""
        return self.window.apply(values)

    def read(self, done: Container[str] = ()) -> Iterator[Slice | Problem]:
        """Read the slices whose key is not in ``done`` one at a time, each as a slice or a problem."""
        keys = self.keys()
        left = deque(index for index, key in enumerate(keys) if key not in done)
        try:
            for index, values, notes in self._pixels(list(left)):
                left.popleft()
                try:
                    if isinstance(values, Exception):
                        raise values
                    grey, more = self._grey(values)
                    position, thickness = self.place(index)
                    yield Slice(
                        self.slice_name(index),
                        keys[index],
                        index,
                        np.ascontiguousarray(grey),
                        self.info.spacing,
                        thickness,
                        position,
                        self.window,
                        self.view,
                        (*notes, *more),
                        values if values.ndim == 3 else None,
                    )
                except (MemoryError, Exception) as error:
                    yield Problem(self.slice_name(index), brief(error), keys[index])
        except (MemoryError, ValueError) as error:
            yield from (Problem(self.slice_name(index), brief(error), keys[index]) for index in left)

    def values(self, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Read slices without applying a window; unreadable slices are omitted.

        Args:
            wanted: slice indices, ascending.

        Yields:
            The index, and the values in the radiological view, shape (H, W): Hounsfield units, or 8-bit grey levels for
            images; with ``options.color``, BGR of shape (H, W, 3).

        Raises:
            ValueError: if the rest of a file is truncated or damaged.
        """
        yield from ((index, values) for index, values, _ in self._pixels(wanted) if not isinstance(values, Exception))

    def stored_masks(self, index: int, mask: np.ndarray) -> np.ndarray:
        """Transform a mask of slice ``index``, shape (H, W), from the radiological view to the stored raster."""
        return self.view.to_stored(mask)


def check_side(rows: int, columns: int) -> None:
    """Reject images that are too small or too large for a slice.

    Raises:
        ValueError: if a side is shorter than 32 pixels, or there are more pixels than 4096 x 4096.
    """
    if rows * columns > MAX_SLICE_PIXELS:
        raise ValueError(f'is {rows} x {columns} pixels, too large ({MAX_SLICE_PIXELS} pixels at most): downscale it')
    if min(rows, columns) < MIN_SIDE:
        raise ValueError(f'is {rows} x {columns} pixels, too small ({MIN_SIDE} x {MIN_SIDE} or more)')
