"""Conversion of lesion masks to COCO JSON, one instance per connected component."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as mask_utils

from mmaffinity.utils.decoding import read_slice

from ..label_masks import CONSOLIDATION, GGO, read_lesion_mask
from ..parallel import Progress, map_files

MERGED_CATEGORIES = ('lesion',)
SEPARATE_CATEGORIES = ('GGO', 'Consolidation')
_EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


class LesionFile(NamedTuple):
    """The paths of an image and its mask, both relative to the data root, and the patient."""

    image: str
    mask: str
    patient_id: str


class AnnotatedSlice(NamedTuple):
    """A slice with its lesions: path relative to the data root, (height, width), annotations without IDs.

    Slices of one ``group`` stay in one split if the patient is unknown.
    """

    image: str
    shape: tuple[int, ...]
    patient_id: str | None
    scan_id: str | None
    annotations: list[dict[str, Any]]
    group: str | None = None

    @property
    def unit(self) -> str:
        """The patient, or the group if the patient is unknown."""
        return str(self.patient_id or self.group)


class LesionAnnotations(NamedTuple):
    """The COCO annotations of a mask, without IDs, and the number of components too small to be lesions."""

    annotations: list[dict[str, Any]]
    num_small: int


def lesion_components(lesion: np.ndarray, min_area: int) -> tuple[list[np.ndarray], int]:
    """Split a binary mask into its 8-connected components.

    Args:
        lesion: shape (H, W), non-zero in lesions.
        min_area: components need more pixels than this to be kept.

    Returns:
        The components kept, bool, shape (H, W) each, in row-major order of their first pixels, and the number of components
        that are too small.
    """
    from scipy import ndimage  # imported here, because the import is slow

    labels, number = ndimage.label(lesion, structure=_EIGHT_CONNECTED)
    areas = np.bincount(labels.ravel(), minlength=number + 1)
    kept = [label for label in range(1, number + 1) if areas[label] > min_area]
    return [labels == label for label in kept], number - len(kept)


def annotate_mask(mask: np.ndarray, min_area: int = 100, keep_classes_apart: bool = False) -> LesionAnnotations:
    """Return the lesions of a mask as COCO annotations without ``id`` and ``image_id``.

    Args:
        mask: values from :func:`~mmaffinity.datasets.label_masks.read_lesion_mask`, shape (H, W).
        min_area: components need more pixels than this to be lesions. The paper uses 100.
        keep_classes_apart: make ground-glass opacity and consolidation categories 1 and 2, each with its own components.
            Otherwise both are category 1 and form joint components, as in the paper.

    Returns:
        The annotations (compressed RLE, box x y w h in pixels, area in pixels), and the number of components that are too
        small.
    """
    planes = [mask == GGO, mask == CONSOLIDATION] if keep_classes_apart else [mask >= GGO]
    annotations, num_small = [], 0
    for category_id, plane in enumerate(planes, 1):
        components, small = lesion_components(plane, min_area)
        num_small += small
        for component in components:
            rle = mask_utils.encode(np.asfortranarray(component.astype(np.uint8)))
            annotations.append(
                dict(
                    category_id=category_id,
                    segmentation=dict(size=[int(side) for side in rle['size']], counts=rle['counts'].decode('ascii')),
                    bbox=[float(side) for side in mask_utils.toBbox(rle)],
                    area=int(component.sum()),
                    iscrowd=0,
                )
            )
    return LesionAnnotations(annotations, num_small)


def build_coco(
    data_root: Path,
    files: Sequence[LesionFile],
    min_area: int = 100,
    keep_classes_apart: bool = False,
    source: str = '',
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], int]:
    """Build the COCO JSON of a list of slices. A slice without lesions is an image without annotations.

    Args:
        data_root: folder to which the files are relative.
        files: the slices, numbered 1, 2, ... in this order.
        min_area, keep_classes_apart: see :func:`annotate_mask`.
        source: name of the list, stored in ``info``.
        workers: see :func:`~mmaffinity.datasets.parallel.map_files`.
        progress: see :func:`~mmaffinity.datasets.parallel.map_files`.

    Returns:
        The COCO dictionary, and the number of components that are too small.

    Raises:
        FileNotFoundError: if an image does not exist.
        ValueError: if ``min_area`` is negative, a file cannot be read, a mask has invalid values, or mask and image differ in
            size.
    """
    check_min_area(min_area)

    def read(file: LesionFile) -> tuple[AnnotatedSlice, int]:
        mask = read_lesion_mask(data_root / file.mask)
        height, width = read_slice(data_root / file.image).shape
        if mask.shape != (height, width):
            raise ValueError(
                f'the mask {data_root / file.mask} is {mask.shape[1]} x {mask.shape[0]} pixels, but its '
                f'image {data_root / file.image} is {width} x {height}; save the mask at the size '
                'of its image, or unpack the archive again'
            )
        found = annotate_mask(mask, min_area, keep_classes_apart)
        return AnnotatedSlice(file.image, mask.shape, file.patient_id, None, found.annotations), found.num_small

    results = map_files(read, files, workers, progress, 'masks')
    names = SEPARATE_CATEGORIES if keep_classes_apart else MERGED_CATEGORIES
    info = dict(description='CNCB-NCOV lesions', source=source, min_area=min_area)
    return coco_of([slice_ for slice_, _ in results], names, info), sum(small for _, small in results)


def coco_of(slices: Iterable[AnnotatedSlice], names: Sequence[str], info: dict[str, Any]) -> dict[str, Any]:
    """Build a COCO dictionary. A slice without lesions is an image without annotations.

    Args:
        slices: the slices, numbered 1, 2, ... in this order.
        names: names of the categories 1, 2, ...
        info: description of the file.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for slice_ in slices:
        images.append(
            dict(
                id=len(images) + 1,
                file_name=slice_.image,
                width=slice_.shape[1],
                height=slice_.shape[0],
                patient_id=slice_.patient_id,
                scan_id=slice_.scan_id,
                **({} if slice_.group is None else dict(group=slice_.group)),
            )
        )
        for annotation in slice_.annotations:
            annotations.append(dict(id=len(annotations) + 1, image_id=len(images), **annotation))
    return dict(
        info=info,
        images=images,
        annotations=annotations,
        categories=[dict(id=index, name=name) for index, name in enumerate(names, 1)],
    )


def check_min_area(min_area: int) -> None:
    """Check the minimum area of a lesion.

    Raises:
        ValueError: if it is negative.
    """
    if min_area < 0:
        raise ValueError(f'the minimum area is {min_area} pixels; it must not be negative')
