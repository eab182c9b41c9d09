"""Volumes of phantom patients: NIfTI with lesion masks, and DICOM series in the layout of COVID-CT-MD."""

import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

import numpy as np

from mmaffinity.utils.optional import require

from .patient import Patient, make_patient
from .plan import PhantomSettings
from .slices import Scanner, draw_hounsfield

LEVELS = tuple(np.linspace(0.1, 0.9, 10).tolist())  # levels of a volume's slices, from the apex to the base
THICKNESS, FIELD = 24.0, 360.0  # slice thickness and field of view in mm
FIRST_PATIENT = 100_000  # keeps patients of volumes apart from those of slices
# Air around the body and no black circle, as in original scans.
SCANNER = Scanner(window_level=-600, window_width=1500, noise=24, blur=0.75, grain=0.6, zoom=1.1, circle=False)
LEFT_LUNG, RIGHT_LUNG, INFECTION = 1, 2, 3  # mask values, as in COVID-19-CT-Seg
MASKS = 'Lung_and_Infection_Mask'
_CT_MD_FOLDERS = {2: ('COVID-19 Cases', 'P'), 1: ('Cap Cases', 'cap'), 0: ('Normal Cases', 'normal')}
_CT_IMAGE = '1.2.840.10008.5.1.4.1.1.2'


def draw_volumes(settings: PhantomSettings) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """List the files of the requested volumes.

    Yields:
        A path relative to the phantom's folder, and a function that returns the file's bytes, the same for the same settings.
    """
    for number in range(settings.nifti_pairs):
        for folder in ('images', MASKS):
            yield f'nifti_pairs/{folder}/phantom_{number + 1:03d}.nii.gz', partial(_nifti, settings, number, folder)
    if settings.covid_ct_md:
        yield from _covid_ct_md(settings)


def draw_volume(patient: Patient, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a patient from head to feet.

    Returns:
        Hounsfield units, int16, and the mask as from :func:`draw_hounsfield`, uint8; both of shape (slices, size, size).
    """
    slices = [draw_hounsfield(patient, level, size, SCANNER) for level in LEVELS]
    return np.stack([_stored(hu) for hu, _ in slices]), np.stack([mask for _, mask in slices])


def _stored(hu: np.ndarray) -> np.ndarray:
    """Round to int16; scanners write no values below -1024."""
    return np.round(np.maximum(hu, -1024)).astype(np.int16)


_patient = lru_cache(maxsize=4)(make_patient)  # growing a patient's vessels takes longer than drawing a slice


def _nifti(settings: PhantomSettings, number: int, folder: str) -> bytes:
    """Return a volume or its mask (0 background, 1 left lung, 2 right lung, 3 infection); every second pair is flipped."""
    hu, mask = draw_volume(_patient(settings.seed, FIRST_PATIENT + number, 2), settings.size)
    left = np.arange(settings.size) >= settings.size // 2  # the patient's left is on the right of the image
    labels = np.where(mask > 1, INFECTION, mask * np.where(left, LEFT_LUNG, RIGHT_LUNG)).astype(np.uint8)
    return nifti_bytes(labels if folder == MASKS else hu, number % 2 == 1)


def nifti_bytes(volume: np.ndarray, flip: bool) -> bytes:
    """Encode a volume of slices in radiological orientation, from head to feet, as compressed NIfTI.

    Args:
        volume: shape (slices, rows, columns).
        flip: store the voxels towards the right, the back and the feet, instead of the left, the front and the head.
    """
    nibabel = require('nibabel', 'medical')
    spacing = FIELD / volume.shape[1]
    # Columns run to the patient's left and rows to the back, but NIfTI's axes point to the right, the front and the head.
    affine = np.diag([-spacing, -spacing, -THICKNESS, 1.0])
    affine[:3, 3] = [FIELD / 2, FIELD / 2, -20.0]
    array = volume.transpose(2, 1, 0)
    for axis in (0,) if flip else (1, 2):
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
        array = np.flip(array, axis)
    image = nibabel.Nifti1Image(np.ascontiguousarray(array), affine)
    image.header.set_xyzt_units('mm')
    return gzip.compress(image.to_bytes(), mtime=0)


def _covid_ct_md(settings: PhantomSettings) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """List series of all classes; two of three patients with pneumonia have slice labels, because the original lacks some."""
    labelled = []
    for label in (2, 1, 0):
        folder, stem = _CT_MD_FOLDERS[label]
        for number in range(settings.covid_ct_md):
            key, name = (settings.seed, FIRST_PATIENT * (label + 2) + number, label), f'{stem}{number + 1:03d}'
            if label and number % 3 != 2:
                labelled.append((key, name))
            for place in range(len(LEVELS)):
                # File names do not follow the order of the slices, as in the original.
                yield (
                    f'covid_ct_md/{folder}/{name}/IM{place * 7 % len(LEVELS):04d}.dcm',
                    partial(_dicom, settings.size, key, name, place),
                )
    yield 'covid_ct_md/Slice-level-labels.npy', partial(_labels, settings.size, [key for key, _ in labelled])
    yield 'covid_ct_md/Index.csv', partial(_index, labelled)


def _dicom(size: int, key: tuple[int, int, int], name: str, place: int) -> bytes:
    return dicom_bytes(_stored(draw_hounsfield(_patient(*key), LEVELS[place], size, SCANNER)[0]), place, name)


def _labels(size: int, keys: Sequence[tuple[int, int, int]]) -> bytes:
    """Return the label array of all labelled patients, wider than their scans, as in the original."""
    rows = np.zeros((len(keys), len(LEVELS) + 3), np.int64)
    for row, key in zip(rows, keys, strict=True):
        row[: len(LEVELS)] = (draw_volume(_patient(*key), size)[1] > 1).any(axis=(1, 2))
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()


def _index(labelled: Sequence[tuple[tuple[int, int, int], str]]) -> bytes:
    """Return the index of that array, which skips a number, as in the original."""
    rows = ['Label Index,Diagnosis,Relative Path,Folder/ID']
    for place, ((_, _, label), name) in enumerate(labelled):
        diagnosis = 'COVID-19' if label == 2 else 'CAP'
        rows.append(f'{place + (place > len(labelled) // 2)},{diagnosis},./{diagnosis}/,{name}')
    return ('\n'.join(rows) + '\n').encode()


def dicom_bytes(hu: np.ndarray, place: int, patient: str) -> bytes:
    """Encode a CT slice as DICOM.

    Args:
        hu: Hounsfield units, int16, shape (rows, columns).
        place: index of the slice from the head.
        patient: patient ID; all slices of a patient form one series.
    """
    pydicom = require('pydicom', 'medical')
    uid = require('pydicom.uid', 'medical')

    def made_up(*parts: str) -> str:
        return uid.generate_uid(entropy_srcs=['mmaffinity phantom', *parts])

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = _CT_IMAGE
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = made_up(patient, str(place))
    data.SeriesInstanceUID, data.StudyInstanceUID = made_up(patient, 'series'), made_up(patient, 'study')
    data.Modality, data.PatientID, data.PatientName = 'CT', patient, 'Phantom'
    data.InstanceNumber, data.SliceThickness, data.PatientPosition = place + 1, THICKNESS, 'HFS'
    data.SliceLocation = -20.0 - THICKNESS * place
    data.ImagePositionPatient = [-FIELD / 2, -FIELD / 2, data.SliceLocation]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [FIELD / hu.shape[0]] * 2
    data.Rows, data.Columns = hu.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, 'MONOCHROME2'
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    data.PixelData = hu.astype('<i2').tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()
