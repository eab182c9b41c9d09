"""What reading of scans gives: scans, their slices, and what could not be read."""
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .geometry import SAME_VIEW, View
from .windowing import TRAINING_WINDOW, Window

MIN_SIDE = 32  # pixels; no CT slice is smaller, and the network's stride is 16
# Of a slice that is predicted: a hundred lesion masks of that size are 1.6 GB. CT has 512 x 512, seldom 2048 x 2048.
MAX_SLICE_PIXELS = 4096 ** 2
MAX_VOXELS = 1024 ** 3  # of a volume; a chest scan of 0.5 mm slices has about 0.2 of it


@dataclass(frozen=True)
class ReadOptions:
    """How pixels become grey levels.

    Attributes:
        window: of Hounsfield units, for DICOM and NIfTI.
        rescale: (slope, intercept) to Hounsfield units for DICOM files without rescale tags and NIfTI volumes that are
            not in Hounsfield units; for most 12-bit data (1, -1024). None refuses what cannot be told.
        max_value: pixel value of 16-bit images that stands for white; None is 65535.
    """

    window: Window = TRAINING_WINDOW
    rescale: tuple[float, float] | None = None
    max_value: int | None = None

    def __post_init__(self) -> None:
        if self.rescale is not None and not (np.isfinite(self.rescale).all() and self.rescale[0] != 0):
            raise ValueError(f'rescale is {self.rescale}: slope and intercept must be finite, and the slope not 0')


@dataclass(frozen=True)
class Problem:
    """An input that was not predicted, and why.

    Attributes:
        source: file, or slice of a volume.
        reason: one sentence, with the way out where there is one.
        key: of the slice in its scan; None for what is in no scan.
        clutter: whether it comes along with scans and holds none: the index of a disc, files of a file manager.
        failed: whether the input was not refused, but predicting it or writing its results failed.
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
    """One axial slice, as the training slices look: patient's left on the right of the image, back at the bottom.

    Attributes:
        name: for people: file below the input, or volume and number.
        key: name with what tells that the file is still the same.
        index: number in the scan, from 0.
        grey: shape (H, W), uint8, or float32 in 8-bit grey levels.
        spacing: distance of neighbouring rows and columns of ``grey`` in mm; None where unknown.
        thickness: of the slab that the slice stands for, mm; None where unknown.
        position: along the patient, mm, growing towards the head; None where unknown.
        window: of Hounsfield units that ``grey`` shows; for images the training one, which is an assumption.
        view: how ``grey`` lies on the stored raster.
        notes: what a reader of the result should know.
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


@dataclass
class ScanInfo:
    """What is known of a scan before its pixels are read.

    Attributes:
        name: for people and for the output folder.
        source: file or folder.
        kind: 'dicom', 'nifti' or 'images'.
        num_slices: also counting those that turn out to be unreadable.
        spacing: rows, columns in mm, in the radiological view; None where unknown.
        slice_spacing: median distance of neighbouring slices in mm; None where unknown.
        study_uid, series_uid: of a DICOM series.
        affine: 4 x 4, voxel (i, j, k) of the input to mm in NIfTI's axes (right, anterior, superior); None where
            unknown, or where no affine describes the slices, as with uneven spacing.
        shape: of the voxel array that ``affine`` speaks of.
        notes: what a reader of the result should know: missing slices, tilt, what had to be assumed. Those that may
            change what the result is worth start with :data:`.notes.WARNING`.
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
    """Slices that belong together. Holds names and a few numbers per slice; pixels are read one slice at a time."""

    def __init__(self, info: ScanInfo) -> None:
        self.info = info

    @property
    def identity(self) -> str:
        """What tells the scan from all others and depends on nothing beside it: results are found by it to resume."""
        return '|'.join((self.info.kind, self.info.source, self.info.name))

    def place(self, index: int) -> tuple[float | None, float | None]:
        """Position of slice ``index`` along the patient and thickness of its slab, mm, as in :class:`Slice`."""
        return None, None

    def check(self) -> None:  # noqa: B027  (most kinds have nothing to look at)
        """Look at the scan as a whole before it is predicted.

        Raises:
            ValueError: if it is not what a model of chest CT can say anything about.
        """

    @abstractmethod
    def keys(self) -> Sequence[str]:
        """Name each slice, in order; a key changes when the file behind it does."""

    @abstractmethod
    def read(self, done: Container[str] = ()) -> Iterator[Slice | Problem]:
        """Read the slices whose key is not in ``done``, one at a time, each as a slice or as a problem."""

    def stored_masks(self, index: int, mask: np.ndarray) -> np.ndarray:
        """Bring a mask of slice ``index``, shape (H, W), from the radiological view to the stored raster."""
        return mask

    def source_paths(self) -> Sequence[Path]:
        """Files of the scan, in the order of its slices where it has one per slice."""
        return ()


def check_side(rows: int, columns: int) -> None:
    """Refuse what is too small or too large to be a slice.

    Raises:
        ValueError: if a side is shorter than 32 pixels, or there are more pixels than 4096 x 4096.
    """
    if rows * columns > MAX_SLICE_PIXELS:
        raise ValueError(f'is {rows} x {columns} pixels, too large for an axial slice ({MAX_SLICE_PIXELS} pixels at '
                         'most): scale it down')
    if min(rows, columns) < MIN_SIDE:
        raise ValueError(f'is {rows} x {columns} pixels, too small for an axial slice ({MIN_SIDE} x {MIN_SIDE} or '
                         'more)')
