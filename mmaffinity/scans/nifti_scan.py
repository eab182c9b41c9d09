"""NIfTI volumes, read slice by slice in constant memory if their storage order allows it."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.optional import require

from .geometry import MAX_TILT, head_normal, radiological_view
from .items import MAX_VOXELS, ReadOptions, Scan, ScanInfo, check_side
from .notes import WARNING
from .opening import HEAD_BYTES, brief, file_key, open_regular
from .plausibility import Tally

MAX_OFFSET = 16 * 1024**2  # bytes of header extensions
MAX_WHOLE = 1024**3  # bytes of a compressed volume that must be held in memory
NUMBERS = 'iuf'
MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # by the header's code for the unit of length: m, mm, micrometre
MIN_SPACING, MAX_SPACING = 1e-3, 1e3  # mm
MAX_POSITION = 1e6  # mm from the scanner's centre; much larger values overflow in areas and volumes
MIN_VOLUME = 0.01  # of a voxel with unit edges; a gantry tilt of 30 degrees gives 0.87
MAX_REST = 1024**2  # bytes after the voxels that are decompressed to verify the checksum


class NiftiScan(Scan):
    """A NIfTI-1 or NIfTI-2 volume in one file, plain or gzip-compressed. Slices are numbered as in the file.

    Args:
        path: the file.
        name: name of the scan.
        options: conversion of pixels to grey levels.
        affine: 4 x 4, voxel to mm in NIfTI's axes, used instead of the file's: for a mask whose voxels are known to be those of
            a scan.

    Raises:
        ValueError: without nibabel, or if the file is damaged, is not a volume of axial slices, or claims more than it can
            contain.
    """

    def __init__(self, path: Path, name: str, options: ReadOptions, affine: np.ndarray | None = None) -> None:
        self.path = path
        notes: list[str] = []
        self.header, self.compressed = _read_header(path, notes)
        shape = tuple(int(side) for side in self.header.get_data_shape())
        if len(shape) < 2 or any(side < 1 for side in shape):
            raise ValueError(f'claims the shape {shape}, which is no volume')
        volume = (*shape, 1)[:3]
        if any(side != 1 for side in shape[3:]):
            raise ValueError(f'has shape {shape}: a series of volumes, not one; save one volume per file')
        if np.prod(volume, dtype=object) > MAX_VOXELS:
            raise ValueError(f'claims the shape {shape}, more than {MAX_VOXELS} voxels')
        self.dtype = self.header.get_data_dtype()
        if self.dtype.kind not in NUMBERS:
            raise ValueError(f'has voxels of type {self.dtype}, which are no Hounsfield units')
        self.offset = int(self.header.get_data_offset())
        affine, zooms = self._place(notes) if affine is None else (affine, np.hypot.reduce(affine[:3, :3], axis=0))
        self._orient(affine, zooms, volume)
        self.volume_shape = volume
        self._check_length(path)
        self.slope, self.intercept = self._scaling(notes)
        self._refusal: str | None = None  # None: not checked; empty: no objection
        size = file_key(path)
        self._keys = [f'{name}#{index}|{size}' for index in range(volume[self.axis])]
        spacing = self.view.spacing(*zooms[self.in_plane])
        step = affine[:3, self.axis] * (-1, -1, 1)
        self.start, self.step = float(affine[:3, 3] * (-1, -1, 1) @ self.normal), float(step @ self.normal)
        tilt = np.degrees(np.arccos(min(abs(self.step) / zooms[self.axis], 1)))
        turn = np.degrees(np.arccos(min(self.normal[2], 1)))
        if tilt > MAX_TILT:
            notes.append(
                f'gantry tilt: the slices are shifted by {tilt:.1f} degrees against their normal; they are '
                'predicted as they are, without straightening'
            )
        elif turn > MAX_TILT:
            notes.append(f'slices are turned by {turn:.1f} degrees against the body axis')
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

    def _place(self, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the affine in mm and the spacing along its axes; note assumptions."""
        if int(self.header['qform_code']) == 0 and int(self.header['sform_code']) == 0:
            notes.append(
                'the header has no orientation (qform and sform code 0): taken as nibabel does, first axis to '
                'the left, second to the front, third to the head'
            )
        affine = np.asarray(self.header.get_best_affine(), dtype=np.float64).copy()
        if not np.isfinite(affine).all():
            raise ValueError('has an affine with values that are not finite: correct its qform or sform')
        if not affine[:3, 3].any():
            notes.append(
                f'{WARNING}the affine puts the first voxel at 0, 0, 0, which no scanner does: the volume was probably '
                'saved from an array with a placeholder, so that its spacing, which way is up, and which axis counts '
                'the slices may be wrong'
            )
        unit = int(self.header['xyzt_units']) % 8
        with np.errstate(all='ignore'):  # overflow is refused below
            affine[:3] *= MILLIMETRES.get(unit, 1.0)
            zooms = np.hypot.reduce(affine[:3, :3], axis=0)  # squares would overflow and hide the value
        lengths = ' x '.join(f'{zoom:g}' for zoom in zooms)
        if not ((zooms >= MIN_SPACING) & (zooms <= MAX_SPACING)).all():
            raise ValueError(
                f'has a voxel spacing of {lengths} mm, outside {MIN_SPACING:g} to {MAX_SPACING:g} mm: '
                f'correct the affine or the unit of length (code {unit}) in its header'
            )
        if np.abs(affine[:3, 3]).max() > MAX_POSITION:
            raise ValueError(
                f'has its first voxel at {", ".join(f"{place:g}" for place in affine[:3, 3])} mm, further '
                f'than {MAX_POSITION:g} mm from the centre: correct the offset of its affine'
            )
        if unit not in MILLIMETRES:
            notes.append(f'the header names no unit of length (code {unit}): taken as mm')
        elif unit != 2:
            notes.append(f"the header's unit of length is {'m' if unit == 1 else 'micrometre'}: voxels are {lengths} mm")
        return affine, zooms

    def _orient(self, affine: np.ndarray, zooms: np.ndarray, volume: tuple[int, ...]) -> None:
        """Find the slice axis and the view."""
        directions = affine[:3, :3] / zooms * np.array([[-1], [-1], [1]])
        if abs(np.linalg.det(directions)) < MIN_VOLUME:
            raise ValueError('has an affine without volume, its three axes lie in one plane: correct its qform or sform')
        self.axis = int(np.argmax(np.abs(directions[2])))
        self.in_plane = [axis for axis in range(3) if axis != self.axis]
        first, second = (directions[:, axis] for axis in self.in_plane)
        self.normal = head_normal(first, second)
        self.view = radiological_view(first, second)
        check_side(*(volume[axis] for axis in self.in_plane))

    def _scaling(self, notes: list[str]) -> tuple[float, float]:
        slope, intercept = self.header.get_slope_inter()
        slope, intercept = 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
        if not np.isfinite([slope, intercept]).all():
            raise ValueError(f'has slope {slope} and intercept {intercept}, which lead to no Hounsfield units')
        stored = float(self.header['scl_slope'])
        if np.isinf(stored):  # 0 and NaN usually mean that voxels are not scaled
            notes.append(f'scl_slope is {stored}: taken as not scaled, slope 1 and intercept 0')
        return slope, intercept

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
            raise ValueError('is compressed, and too large to be read against its storage order: save it uncompressed')

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
        """Yield number and raster of the requested slices."""
        if self.compressed and self.axis == 2:
            yield from self._stream(set(wanted))
            return
        volume = (
            self._whole()
            if self.compressed
            else np.memmap(self.path, self.dtype, 'r', self.offset, self.volume_shape, order='F')
        )
        # Not np.take, which copies the whole volume in this order for each slice.
        yield from ((index, np.asarray(volume[(slice(None),) * self.axis + (index,)])) for index in wanted)

    def _stream(self, wanted: set[int]) -> Iterator[tuple[int, np.ndarray]]:
        rows, columns, depth = self.volume_shape
        length = rows * columns * self.dtype.itemsize
        with open_regular(self.path) as file, gzip.GzipFile(fileobj=file) as stream:
            _read_exactly(stream, self.offset)
            for index in range(depth):
                content = _read_exactly(stream, length)
                if index in wanted:
                    yield index, np.frombuffer(content, self.dtype).reshape((rows, columns), order='F')
            self._end(stream)

    def _whole(self) -> np.ndarray:
        length = int(np.prod(self.volume_shape)) * self.dtype.itemsize
        with open_regular(self.path) as file, gzip.GzipFile(fileobj=file) as stream:
            _read_exactly(stream, self.offset)
            volume = np.frombuffer(_read_exactly(stream, length), self.dtype).reshape(self.volume_shape, order='F')
            self._end(stream)
            return volume

    def _end(self, stream: Any) -> None:
        """Read to the end of a compressed file, where its checksum is, and note problems."""
        note = ''
        try:
            if len(stream.read(MAX_REST)) == MAX_REST:
                note = 'the file goes on after its voxels: its checksum was not looked at'
        except (OSError, EOFError, zlib.error) as error:
            # Data after a complete gzip stream do not belong to it; its checksum was correct.
            note = (
                'other bytes follow the compressed volume, and were left out'
                if 'Not a gzipped file' in str(error)
                else f'{WARNING}the compressed file does not match its checksum ({brief(error)}); voxels may be wrong: '
                'copy or download it again'
            )
        if note and note not in self.info.notes:
            self.info.notes.append(note)

    def check(self) -> None:
        """Check all voxels once before prediction: are these Hounsfield units?

        Raises:
            ValueError: if they are a mask, grey levels, 12-bit values without rescaling, or show no air.
        """
        if self._refusal is None:
            self._refusal = self._judge()
        if self._refusal:
            raise ValueError(self._refusal)

    def _judge(self) -> str:
        """Return why these are not Hounsfield units, or '' if they seem to be. Note doubts and apply ``rescale``."""
        found = self._look(self.slope, self.intercept)
        refusal = found.refusal()
        if self.options.rescale is not None:
            slope, intercept = self.options.rescale
            given = f'the given slope {slope:g} and intercept {intercept:g}'
            if refusal:
                scaling = self.slope * slope, self.intercept * slope + intercept
                found = self._look(*scaling)
                if found.refusal():
                    return f'{refusal}. With {given} it has {found.range}, which are none either'
                (self.slope, self.intercept), refusal = scaling, ''
                self.info.notes.append(f'{given} were used')
            else:
                self.info.notes.append(f'{given} were not used: the values look like Hounsfield units without them')
        if not refusal and found.doubt_of_volume():
            self.info.notes.append(found.doubt_of_volume())
        return refusal

    def _look(self, slope: float, intercept: float) -> Tally:
        """Count all voxels."""
        tally = Tally()
        try:
            for _, raster in self._rasters(range(self.volume_shape[self.axis])):
                with np.errstate(all='ignore'):
                    tally.add(raster.astype(np.float64) * slope + intercept)
        except (OSError, EOFError, zlib.error):
            pass  # slices before the damage are usable, and later reading reports it
        return tally

    def source_paths(self) -> Sequence[Path]:
        return [self.path]


def _read_header(path: Path, notes: list[str]) -> tuple[Any, bool]:
    """Return the header of a single-file NIfTI as read by nibabel, and whether the file is compressed.

    Violations of the standard that nibabel corrects are noted: qfac 0, negative spacing.
    """
    nifti1, nifti2 = (require(f'nibabel.nifti{number}', 'medical') for number in (1, 2))
    quiet = require('nibabel.imageglobals', 'medical').LoggingOutputSuppressor
    with open_regular(path) as file:
        compressed = file.read(2) == b'\x1f\x8b'
        file.seek(0)
        stream: Any = gzip.GzipFile(fileobj=file) if compressed else file
        try:
            block = stream.read(HEAD_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f'is truncated or damaged: {brief(error)}') from error
    if block[344:348] == b'ni1\0' or block[4:8] == b'ni2\0':
        raise ValueError('is one half of a .hdr/.img pair, which is not read: save it as a single .nii file')
    kind, length = (nifti1.Nifti1Header, 348) if block[344:348] == b'n+1\0' else (nifti2.Nifti2Header, 540)
    block = block[:length]
    try:
        offset = float(kind.from_fileobj(io.BytesIO(block), check=False)['vox_offset'])
        with quiet():
            # A wrong offset is reported below.
            header = kind.from_fileobj(io.BytesIO(block), check=length + 4 <= offset <= MAX_OFFSET)
            found = kind.diagnose_binaryblock(block).splitlines()
        header.get_data_shape(), header.get_data_dtype(), header.get_best_affine(), header.get_slope_inter()
    except (MemoryError, Exception) as error:
        raise ValueError(f'has a damaged header, which nibabel does not read either: {brief(error)}') from error
    if not offset <= MAX_OFFSET:  # also catches NaN
        raise ValueError(f'has its voxels at byte {offset:.0f}, beyond anything a header needs')
    # Readers differ on 0: nibabel takes it literally and reads the header as voxels; others skip the header.
    if offset < length + 4:
        raise ValueError(
            f'has its voxels at byte {offset:.0f}, within its header of {length + 4} bytes: set vox_offset to '
            f'{length + 4} if they follow the header, or convert the scan again'
        )
    found = [line for line in found if line.startswith(('pixdim', 'qform_code', 'sform_code'))]
    if found:
        notes.append(f'the header breaks the NIfTI standard and was read as nibabel does: {"; ".join(found)}')
    return header, compressed


def _read_exactly(stream: Any, length: int) -> bytes:
    """Read bytes in pieces, so that memory depends on the actual rather than the claimed size."""
    pieces, missing = [], length
    while missing:
        piece = stream.read(min(missing, 1 << 22))
        if not piece:
            raise EOFError(f'{missing} bytes are missing at its end')
        pieces.append(piece)
        missing -= len(piece)
    return b''.join(pieces)
