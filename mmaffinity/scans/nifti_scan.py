"""NIfTI volumes, read slice by slice in constant memory if the storage order permits."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .geometry import MAX_TILT, head_normal, radiological_view
from .items import MAX_VOXELS, ReadOptions, Scan, ScanInfo, check_side
from .nifti_header import place_of, read_nifti_header, scaling_of
from .notes import WARNING
from .opening import brief, file_key, open_regular
from .plausibility import Tally

MAX_WHOLE = 1024**3  # bytes of a compressed volume that must be held in memory
NUMBERS = 'iuf'
MIN_VOLUME = 0.01  # of a voxel with unit edges; a gantry tilt of 30 degrees gives 0.87
MAX_REST = 1024**2  # most bytes after the voxels that are decompressed to verify the checksum


class NiftiScan(Scan):
    """A NIfTI-1 or NIfTI-2 volume in one file, plain or gzip-compressed. Slices are numbered as in the file.

    Args:
        path: the file.
        name: name of the scan.
        options: conversion of pixels to grey levels.
        affine: 4 x 4, voxel to mm in NIfTI's axes, used instead of the file's affine: for a mask known to share a scan's voxel
            grid.

    Raises:
        ValueError: if nibabel is missing, or the file is damaged, is not a volume of axial slices, or claims more data than it
            can contain.
    """

    def __init__(self, path: Path, name: str, options: ReadOptions, affine: np.ndarray | None = None) -> None:
        self.path = path
        notes: list[str] = []
        self.header, self.compressed = read_nifti_header(path, notes)
        shape = tuple(int(side) for side in self.header.get_data_shape())
        if len(shape) < 2 or any(side < 1 for side in shape):
            raise ValueError(f'claims the shape {shape}, which is not a volume')
        volume = (*shape, 1)[:3]
        if any(side != 1 for side in shape[3:]):
            raise ValueError(f'has shape {shape}, a series of volumes: save one volume per file')
        if np.prod(volume, dtype=object) > MAX_VOXELS:
            raise ValueError(f'claims the shape {shape}, more than {MAX_VOXELS} voxels')
        self.dtype = self.header.get_data_dtype()
        if self.dtype.kind not in NUMBERS:
            raise ValueError(f'has voxels of type {self.dtype}, which are not Hounsfield units')
        self.offset = int(self.header.get_data_offset())
        affine, zooms = place_of(self.header, notes) if affine is None else (affine, np.hypot.reduce(affine[:3, :3], axis=0))
        self._orient(affine, zooms, volume)
        self.volume_shape = volume
        self._check_length(path)
        self.slope, self.intercept = scaling_of(self.header, notes)
        self._refusal: str | None = None  # None: not checked yet; empty: accepted
        size = file_key(path)
        self._keys = [f'{name}#{index}|{size}' for index in range(volume[self.axis])]
        spacing = self.view.spacing(*zooms[self.in_plane])
        step = affine[:3, self.axis] * (-1, -1, 1)
        self.start, self.step = float(affine[:3, 3] * (-1, -1, 1) @ self.normal), float(step @ self.normal)
        tilt = np.degrees(np.arccos(min(abs(self.step) / zooms[self.axis], 1)))
        turn = np.degrees(np.arccos(min(self.normal[2], 1)))
        if tilt > MAX_TILT:
            notes.append(
                f'gantry tilt: {tilt:.1f} degrees between the stack axis and the slice normal; slices are predicted '
                'as stored, without correction'
            )
        elif turn > MAX_TILT:
            notes.append(f'slices are rotated by {turn:.1f} degrees from the body axis')
        super().__init__(
            ScanInfo(
                name=name,
                source=str(path),
                kind='nifti',
                num_slices=len(self._keys),
                spacing=(float(spacing[0]), float(spacing[1])),
                slice_spacing=abs(self.step),
                affine=affine.tolist(),
                shape=shape,
                notes=notes,
            ),
            options,
        )

    def _orient(self, affine: np.ndarray, zooms: np.ndarray, volume: tuple[int, ...]) -> None:
        """Determine the slice axis and the view."""
        directions = affine[:3, :3] / zooms * np.array([[-1], [-1], [1]])
        if abs(np.linalg.det(directions)) < MIN_VOLUME:
            raise ValueError('has a degenerate affine, with all three axes in one plane: correct its qform or sform')
        self.axis = int(np.argmax(np.abs(directions[2])))
        self.in_plane = [axis for axis in range(3) if axis != self.axis]
        first, second = (directions[:, axis] for axis in self.in_plane)
        self.normal = head_normal(first, second)
        self.view = radiological_view(first, second)
        check_side(*(volume[axis] for axis in self.in_plane))

    def _check_length(self, path: Path) -> None:
        voxels = int(np.prod(self.volume_shape, dtype=object))
        needed = self.offset + voxels * self.dtype.itemsize
        size = path.stat().st_size
        if not self.compressed and size < needed:
            raise ValueError(f'is truncated: {size} of the {needed} bytes that its header claims')
        # gzip compresses at most 1032 to 1.
        if self.compressed and size * 1040 < needed:
            raise ValueError(f'claims {needed} bytes, which {size} compressed bytes cannot hold')
        if self.compressed and self.axis != 2 and voxels * self.dtype.itemsize > MAX_WHOLE:
            raise ValueError('is compressed and too large to be read across its storage order: save it uncompressed')

    def keys(self) -> Sequence[str]:
        return self._keys

    def slice_name(self, index: int) -> str:
        return f'{self.info.name}#{index}'

    def _pixels(self, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Exception, Sequence[str]]]:
        try:
            for index, raster in self._rasters(wanted):
                yield index, self.view.from_stored(self._scaled(raster)), ()
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f'is truncated or damaged: {error}') from error

    def _scaled(self, raster: np.ndarray) -> np.ndarray:
        with np.errstate(all='ignore'):
            return raster.astype(np.float64) * self.slope + self.intercept

    def place(self, index: int) -> tuple[float | None, float | None]:
        return self.start + index * self.step, self.info.slice_spacing

    def _rasters(self, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index and raster of each requested slice."""
        if self.compressed and self.axis == 2:
            yield from self._stream(set(wanted))
            return
        volume = (
            self._whole()
            if self.compressed
            else np.memmap(self.path, self.dtype, 'r', self.offset, self.volume_shape, order='F')
        )
        # Not np.take, which copies the whole volume for each slice in this order.
        yield from ((index, np.asarray(volume[(slice(None),) * self.axis + (index,)])) for index in wanted)

    def _stream(self, wanted: set[int]) -> Iterator[tuple[int, np.ndarray]]:
        rows, columns, depth = self.volume_shape
        for index, content in enumerate(self._unpacked(rows * columns * self.dtype.itemsize, depth)):
            if index in wanted:
                yield index, np.frombuffer(content, self.dtype).reshape((rows, columns), order='F')

    def _whole(self) -> np.ndarray:
        (content,) = self._unpacked(int(np.prod(self.volume_shape)) * self.dtype.itemsize, 1)
        return np.frombuffer(content, self.dtype).reshape(self.volume_shape, order='F')

    def _unpacked(self, length: int, number: int) -> Iterator[bytes]:
        """Yield the voxels of a compressed file as ``number`` pieces of ``length`` bytes."""
        with open_regular(self.path) as file, gzip.GzipFile(fileobj=file) as stream:
            _read_exactly(stream, self.offset)
            for _ in range(number):
                yield _read_exactly(stream, length)
            self._end(stream)

    def _end(self, stream: Any) -> None:
        """Read to the end of a compressed file, which verifies its checksum, and note problems."""
        note = ''
        try:
            if len(stream.read(MAX_REST)) == MAX_REST:
                note = 'the file continues after its voxels, so its checksum was not verified'
        except (OSError, EOFError, zlib.error) as error:
            # Data after a complete gzip stream does not belong to it; its checksum was correct.
            note = (
                'other bytes follow the compressed volume and were ignored'
                if 'Not a gzipped file' in str(error)
                else f'{WARNING}the compressed file does not match its checksum ({brief(error)}); voxels may be wrong: '
                'copy or download it again'
            )
        if note and note not in self.info.notes:
            self.info.notes.append(note)

    def check(self) -> None:
        """Check once, over all voxels, that the values are Hounsfield units.

        Raises:
            ValueError: if they are a mask, grey levels, 12-bit values without rescaling, or show no air.
        """
        if self._refusal is None:
            self._refusal = self._judge()
        if self._refusal:
            raise ValueError(self._refusal)

    def _judge(self) -> str:
        """Return why the values are not Hounsfield units, or ''; apply ``rescale`` if needed, and note doubts."""
        found = self._look(self.slope, self.intercept)
        refusal = found.refusal()
        if self.options.rescale is not None:
            slope, intercept = self.options.rescale
            given = f'the given slope {slope:g} and intercept {intercept:g}'
            if refusal:
                scaling = self.slope * slope, self.intercept * slope + intercept
                found = self._look(*scaling)
                if found.refusal():
                    return f'{refusal}. With {given} it has {found.range}, which are not Hounsfield units either'
                (self.slope, self.intercept), refusal = scaling, ''
                self.info.notes.append(f'{given} were used')
            else:
                self.info.notes.append(f'{given} were not used: the values look like Hounsfield units without them')
        if not refusal and found.doubt_of_volume():
            self.info.notes.append(found.doubt_of_volume())
        return refusal

    def _look(self, slope: float, intercept: float) -> Tally:
        """Tally the values of all voxels."""
        tally = Tally()
        try:
            for _, raster in self._rasters(range(self.volume_shape[self.axis])):
                with np.errstate(all='ignore'):
                    tally.add(raster.astype(np.float64) * slope + intercept)
        except (OSError, EOFError, zlib.error):
            pass  # slices before the damage are usable, and reading them later reports it
        return tally


def _read_exactly(stream: Any, length: int) -> bytes:
    """Read ``length`` bytes in pieces, so that memory depends on the actual rather than the claimed size."""
    pieces, missing = [], length
    while missing:
        piece = stream.read(min(missing, 1 << 22))
        if not piece:
            raise EOFError(f'{missing} bytes are missing at its end')
        pieces.append(piece)
        missing -= len(piece)
    return b''.join(pieces)
