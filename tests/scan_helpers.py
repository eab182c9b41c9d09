"""Synthetic scans: a small chest as DICOM series, NIfTI volume and images, and a model for them."""

import gzip
import struct
from pathlib import Path

import cv2
import numpy as np

from mmaffinity.scans import ReadOptions
from mmaffinity.scans.image_scan import ImageScan
from mmaffinity.scans.nifti_scan import NiftiScan

SIZE = 64
SHARD_OPTIONS = dict(score_thr=0.3, overlays='lesions')


def chest(index: int = 0, size: int = SIZE) -> np.ndarray:
    """Hounsfield units of a crude slice: air, an elliptic body, two lungs, one of them with a dense spot.

    The spot is on the image's right, in the patient's left lung, so that the slice is symmetric in no way.
    """
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    hu = np.full((size, size), -1000.0)
    hu[(x / 0.9) ** 2 + (y / 0.7) ** 2 < 1] = 40
    for centre in (-0.4, 0.4):
        hu[((x - centre) / 0.28) ** 2 + ((y + 0.05) / 0.45) ** 2 < 1] = -820
    hu[((x - 0.42) / 0.1) ** 2 + ((y - 0.15) / 0.1) ** 2 < 1] = -200 + 5 * index
    hu[(np.abs(x) < 0.08) & (np.abs(y - 0.55) < 0.1)] = 600
    return hu


def to_grey(hu: np.ndarray, level: float = -600, width: float = 1500) -> np.ndarray:
    """Windowing, implemented independently of the package."""
    return np.round(np.interp(hu, [level - width / 2, level + width / 2], [0, 255])).astype(np.uint8)


def write_images(folder: Path, number: int = 3, size: int = SIZE, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + number):
        cv2.imwrite(str(folder / f'slice_{index}.png'), to_grey(chest(index, size)))
    return folder


def dicom_slice(pixels: np.ndarray, index: int = 0, **changes):
    """A CT image of int16 or uint16 pixels; ``changes`` override header entries, None removes them."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = '1.2.840.10008.5.1.4.1.1.2'
    series = changes.pop('series', 'a series')
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(index)])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[series])
    data.StudyInstanceUID = generate_uid(entropy_srcs=['study'])
    data.FrameOfReferenceUID = generate_uid(entropy_srcs=['frame'])
    data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = 'secret-id', 'Secret^Name', '', 'O'
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = '20200101', '120000', '1', ''
    data.ReferringPhysicianName = ''
    data.Modality, data.ImageType = 'CT', ['ORIGINAL', 'PRIMARY', 'AXIAL']
    data.SeriesNumber, data.InstanceNumber = 1, index + 1
    data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-100, -80, 5.0 * index - 300]
    data.PixelSpacing, data.SliceThickness = [0.8, 0.7], 5
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, 'MONOCHROME2'
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == 'i')
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, 0, 'HU'
    data.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    return data


def save_dicom(path: Path, data) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, number: int = 3, size: int = SIZE, **changes) -> Path:
    """A series whose file names are in the opposite of its anatomical order."""
    for index in range(number):
        data = dicom_slice(chest(index, size).astype(np.int16), index, **changes)
        save_dicom(folder / f'im_{number - index:03d}.dcm', data)
    return folder


def jpeg_lossless(pixels: np.ndarray, bits: int = 16) -> bytes:
    """A JPEG Lossless code stream (ITU-T T.81, process 14, selection value 1) of unsigned pixels (H, W), slow and plain.

    Each difference to the left neighbour, or to the upper one in the first column, is written with a Huffman code of five
    bits for its length.
    """
    height, width = pixels.shape
    values = pixels.astype(int)
    guess = np.roll(values, 1, axis=1)
    guess[1:, 0] = values[:-1, 0]
    guess[0, 0] = 1 << (bits - 1)
    text = ''
    for change in (values - guess).ravel().tolist():
        change = (change + (1 << 15)) % (1 << 16) - (1 << 15)
        size = abs(change).bit_length()
        text += f'{size:05b}'
        if 0 < size < 16:
            text += f'{change if change > 0 else change + (1 << size) - 1:0{size}b}'
    text += '1' * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, 'big').replace(b'\xff', b'\xff\0')
    head = b'\xff\xc3\0\x0b' + bytes([bits]) + height.to_bytes(2, 'big') + width.to_bytes(2, 'big') + b'\1\1\x11\0'
    codes = b'\xff\xc4' + (19 + 17).to_bytes(2, 'big') + bytes([0, 0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    return b'\xff\xd8' + head + codes + b'\xff\xda\0\x08\1\1\0\1\0\0' + scan + b'\xff\xd9'


def write_nifti(path: Path, volume: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """A volume of any type, with an LAS affine (first axis to the left) of 0.7 x 0.8 x 5 mm."""
    import nibabel

    if affine is None:
        affine = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, 5, -300], [0, 0, 0, 1.0]])
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(volume, affine).to_filename(path)
    return path


def chest_volume(number: int = 3, size: int = SIZE) -> np.ndarray:
    """The chest as :func:`write_nifti` expects it with its default affine: to the left, to the front, to the head."""
    return np.stack([chest(index, size)[::-1].T for index in range(number)], axis=2).astype(np.int16)


def write_model(folder: Path, repo_root: Path, seed: int = 0, size: int = 128) -> tuple[Path, Path]:
    """A narrow, untrained affinity model that finds lesions everywhere: (config, checkpoint)."""
    import torch
    from model_helpers import NARROW, build_model

    overrides = {
        'data_preprocessor.normalization': 'slice',
        'data_preprocessor.mean': None,
        'data_preprocessor.std': None,
        'roi_head.cls_head.num_affinities': 8,
    }
    model = build_model(overrides, seed=seed)
    with torch.no_grad():  # probabilities well within 0 and 1, so that slices differ
        model.roi_head.cls_head.classifier[4].weight.mul_(0.05)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / f'model_{seed}.pth')
    changes = {f'model.{key}': value for key, value in NARROW.items()}
    lines = [f'_base_ = {str(repo_root / "configs" / "affinity_c8.py")!r}', f'image_size = ({size}, {size})', 'model = dict(']
    lines += ["    data_preprocessor=dict(normalization='slice', statistics=None),"]
    tree: dict = {}
    for key, value in changes.items():
        *path, last = key.split('.')[1:]
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    tree['backbone']['init_cfg'] = None
    lines += [f'    {name}={value!r},' for name, value in tree.items()] + [')']
    config = folder / 'narrow.py'
    config.write_text('\n'.join(lines) + '\n')
    return config, folder / f'model_{seed}.pth'


def checked_nifti(path, **options):
    """A volume that was accepted as one in Hounsfield units."""
    scan = NiftiScan(path, 'v', ReadOptions(**options))
    scan.check()
    return scan


def patched_nifti(path, offset, form, *values):
    """The same volume with other header fields, gzip-compressed again if it was."""
    raw = bytearray(path.read_bytes() if path.suffix == '.nii' else gzip.decompress(path.read_bytes()))
    struct.pack_into(form, raw, offset, *values)
    path.write_bytes(raw if path.suffix == '.nii' else gzip.compress(bytes(raw), 1))
    return path


def failing(function, error, when):
    """The same function, which raises ``error`` when its arguments satisfy ``when``."""

    def call(*args, **kwargs):
        if when(*args):
            raise error
        return function(*args, **kwargs)

    return call


def in_a(*args):
    """Whether one of the arguments is the scan of images in/a."""
    return any(isinstance(arg, ImageScan) and arg.info.name == 'in/a' for arg in args)


def predict_shard(inferencer, study, out, index, num, **options):
    """Predict one shard of a study."""
    from mmaffinity.apis.prediction import predict_to_folder
    from mmaffinity.scans.shards import Shard

    return predict_to_folder(inferencer, study, out, **{**SHARD_OPTIONS, **options}, shard=Shard(index, num))
