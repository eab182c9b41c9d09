"""Read the header of a NIfTI file: the voxels' placement in the patient and their scaling."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.optional import require

from .notes import WARNING
from .opening import HEAD_BYTES, brief, open_regular

MAX_OFFSET = 16 * 1024**2  # bytes of header extensions
MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # by the header's code for the unit of length: m, mm, micrometre
MIN_SPACING, MAX_SPACING = 1e-3, 1e3  # mm
MAX_POSITION = 1e6  # mm from the scanner's centre; much larger values make areas and volumes overflow


def read_nifti_header(path: Path, notes: list[str]) -> tuple[Any, bool]:
    """Return the header of a single-file NIfTI as nibabel reads it, and whether the file is compressed.

    Violations of the standard that nibabel corrects (qfac 0, negative spacing) are noted.

    Raises:
        ValueError: if nibabel is missing, or the header is damaged or not that of a single file.
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
        raise ValueError('is one half of a .hdr/.img pair, which is not supported: save it as a single .nii file')
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
        raise ValueError(f'has a damaged header, which nibabel cannot read: {brief(error)}') from error
    if not offset <= MAX_OFFSET:  # also catches NaN
        raise ValueError(f'has its voxels at byte {offset:.0f}, far beyond the end of any header: correct vox_offset')
    # Readers disagree on 0: nibabel takes it literally and reads the header as voxels; others skip the header.
    if offset < length + 4:
        raise ValueError(
            f'has its voxels at byte {offset:.0f}, within its header of {length + 4} bytes: set vox_offset to '
            f'{length + 4} if they follow the header, or convert the scan again'
        )
    found = [line for line in found if line.startswith(('pixdim', 'qform_code', 'sform_code'))]
    if found:
        notes.append(f'the header violates the NIfTI standard; corrected as nibabel does: {"; ".join(found)}')
    return header, compressed


def place_of(header: Any, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the affine, 4 x 4, from voxel to mm in NIfTI's axes, and the voxel spacing in mm; note assumptions.

    Raises:
        ValueError: if they are impossible for a scan.
    """
    if int(header['qform_code']) == 0 and int(header['sform_code']) == 0:
        notes.append(
            "the header has no orientation (qform and sform code 0): nibabel's default is used, first axis to "
            'the left, second to the front, third to the head'
        )
    affine = np.asarray(header.get_best_affine(), dtype=np.float64).copy()
    if not np.isfinite(affine).all():
        raise ValueError('has an affine with values that are not finite: correct its qform or sform')
    if not affine[:3, 3].any():
        notes.append(
            f'{WARNING}the affine puts the first voxel at 0, 0, 0, which no scanner does: the volume was probably '
            'saved from an array with a placeholder affine, so spacing, orientation and slice axis may '
            'be wrong'
        )
    unit = int(header['xyzt_units']) % 8
    with np.errstate(all='ignore'):  # overflow is rejected below
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
        notes.append(f'the header gives no unit of length (code {unit}): mm is assumed')
    elif unit != 2:
        notes.append(f"the header's unit of length is {'m' if unit == 1 else 'micrometre'}: voxels are {lengths} mm")
    return affine, zooms


def scaling_of(header: Any, notes: list[str]) -> tuple[float, float]:
    """Return slope and intercept from voxels to Hounsfield units; note assumptions.

    Raises:
        ValueError: if they are not finite.
    """
    slope, intercept = header.get_slope_inter()
    slope, intercept = 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    if not np.isfinite([slope, intercept]).all():
        raise ValueError(f'has slope {slope} and intercept {intercept}, which do not give Hounsfield units')
    stored = float(header['scl_slope'])
    if np.isinf(stored):  # unlike 0 and NaN, which usually mean that voxels are not scaled
        notes.append(f'scl_slope is {stored}: treated as unscaled, slope 1 and intercept 0')
    return slope, intercept
