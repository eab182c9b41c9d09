"""Conversion of the raw CNCB-NCOV download and its published lists."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.wording import first_few, plural

from .coco import LesionFile, build_coco
from .downloads import Download, check_names
from .lists import (
    CNCB_CLASSES,
    CncbSlice,
    LesionSlice,
    PathLike,
    parse_covidx_list,
    parse_published_list,
    parse_segmentation_list,
)
from .raw_files import flat_folders
from .summary import ConversionSummary

PARTS = ('lesions', 'slices')
LIST_NAMES = dict(
    train='train_COVIDx_CT-1.txt',
    val='val_COVIDx_CT-1.txt',
    test='test_COVIDx_CT-1.txt',
    train_sample='train_split_classification.txt',
    lesions_train='train_split_segmentation.txt',
    lesions_test='test_split_segmentation.txt',
)
COVIDX_SOURCE = 'https://github.com/haydengunraj/COVIDNet-CT (COVIDx-CT version 1)'
PUBLISHED_SOURCE = 'https://github.com/AlexTS1980/COVID-Single-Shot-Model'
_REMEDY = (
    'download the CT archives from http://ncov-ai.big.ac.cn/download and unpack them so that the data root '
    'contains NCP/, CP/, Normal/ and ct_lesion_seg/; the flat image folder of COVIDx-CT version 1 can replace the '
    'first three (docs/data.md)'
)


def convert_cncb_ncov(
    data_root: PathLike,
    lists: Mapping[str, PathLike] | None = None,
    parts: Sequence[str] = PARTS,
    samples_per_class: int | None = None,
    seed: int = 0,
    keep_classes_apart: bool = False,
    min_area: int = 100,
    **options: Any,
) -> ConversionSummary:
    """Write ``<data_root>/annotations/``: lesions as COCO JSON, slice lists, and grey-level statistics.

    Args:
        data_root: folder with the unpacked NCP/, CP/, Normal/ and ct_lesion_seg/. A flat folder with the images of COVIDx-CT
            version 1 can replace the first three.
        lists: paths of individual lists, by key of :data:`LIST_NAMES`.
        parts: 'lesions' and 'slices', or one of them if only that part of the data is present.
        samples_per_class: draw this many training slices per class from the COVIDx-CT training list, instead of using the
            author's list of 3000.
        seed: seed of that draw.
        keep_classes_apart: keep ground-glass opacity and consolidation as separate lesion categories.
        min_area: only 8-connected components with more pixels than this are lesions.
        **options: ``list_folders``, ``skip_statistics``, ``check_files`` (of labelled slices), ``workers`` and ``progress``,
            see :class:`~.downloads.Download`.

    Returns:
        Counts per split, class and patient, and the files written.

    Raises:
        FileNotFoundError: if the data root, a list or slices are missing.
        ValueError: if a list, mask, image or argument is invalid, or ``annotations/`` contains lists of another data set.
    """
    download = Download('CNCB-NCOV', data_root, CNCB_CLASSES, _REMEDY, list(LIST_NAMES), lists, **options)
    check_names('parts', parts, PARTS)

    def list_of(role: str) -> Path:
        source = COVIDX_SOURCE if role in ('train', 'val', 'test') else PUBLISHED_SOURCE
        return download.find_list(role, LIST_NAMES[role], source)

    if 'slices' in parts:
        download.refuse_other_lists()
    # Checking lists and files is quick, so it is done for both parts before the masks are read.
    lesions: dict[str, list[LesionFile]] = {}
    for split in ('lesions_train', 'lesions_test') if 'lesions' in parts else ():
        source = list_of(split)
        lesions[split] = _find_lesion_slices(download, source, parse_segmentation_list(source))
    if 'slices' in parts:
        flat = flat_folders(download.root, '1') if download.check_files else []
        splits = _read_slice_splits(list_of, 'train_sample' in download.lists, samples_per_class, seed)
        patients = {
            split: {row['patient_id'] for row in _add_slices(download, split, rows, source, flat)}
            for split, (rows, source) in splits.items()
        }
    download.refuse_missing()
    check = download.summary.check_patients
    if 'slices' in parts:
        train = patients['slices_train'] | patients['slices_train_left_out']
        # The author's 3000 slices share patients with the rest of their list.
        check('slices_train', patients['slices_train'], 'slices_train_left_out', patients['slices_train_left_out'])
        check('the training list', train, 'slices_val', patients['slices_val'])
        check('the training list', train, 'slices_test', patients['slices_test'])
        check('slices_val', patients['slices_val'], 'slices_test', patients['slices_test'])
    for split, found in lesions.items():
        source = list_of(split)
        coco, num_small = build_coco(
            download.root, found, min_area, keep_classes_apart, source.name, download.workers, download.progress
        )
        download.summary.add_lesions(split, coco, num_small)
        download.add_output(split, coco)
    if lesions:
        train, test = ({file.patient_id for file in files} for files in lesions.values())
        check('lesions_train', train, 'lesions_test', test)
    return download.write()


def _read_slice_splits(
    list_of: Callable[[str], Path], sample_given: bool, samples_per_class: int | None, seed: int
) -> dict[str, tuple[list[CncbSlice], Path]]:
    """Return the rows and the list of each split."""
    train_path = list_of('train')
    train = parse_covidx_list(train_path)
    if samples_per_class is None:
        try:
            sample_path = list_of('train_sample')
        except FileNotFoundError as error:
            raise FileNotFoundError(f'{error}; or draw a balanced sample with --samples-per-class 1000') from None
        sample = parse_published_list(sample_path)
        known = set(train)
        foreign = ['_'.join(map(str, row)) for row in sample if row not in known]
        if foreign:
            raise ValueError(
                f'{train_path} lacks {plural(len(foreign), "row")} of {sample_path}, which should be a subset of it '
                f'({first_few(foreign)}); use two lists that match'
            )
    elif sample_given:
        raise ValueError(
            f'both the list {list_of("train_sample")} and {plural(samples_per_class, "sample")} per class are given for the '
            'training slices; use only one of them'
        )
    else:
        sample, sample_path = draw_balanced_sample(train, samples_per_class, seed), train_path
    drawn = set(sample)
    left_out = [row for row in train if row not in drawn]
    splits = dict(slices_train=(sample, sample_path), slices_train_left_out=(left_out, train_path))
    for split in ('val', 'test'):
        path = list_of(split)
        splits[f'slices_{split}'] = (parse_covidx_list(path), path)
    return splits


def draw_balanced_sample(rows: Sequence[CncbSlice], samples_per_class: int, seed: int = 0) -> list[CncbSlice]:
    """Draw the same number of slices of every class, without replacement.

    Args:
        rows: slices to draw from, in any order.
        samples_per_class: number of slices of each class.
        seed: the same seed gives the same sample.

    Returns:
        The sample, sorted by class, patient, scan and slice.

    Raises:
        ValueError: if a class has too few slices, or the number is less than 1.
    """
    if samples_per_class < 1:
        raise ValueError(f'the number of samples per class is {samples_per_class}; it must be at least 1')
    generator = np.random.default_rng(seed)
    sample = []
    for label, name in enumerate(CNCB_CLASSES):
        members = sorted(row for row in rows if row.label == label)
        if len(members) < samples_per_class:
            raise ValueError(
                f'samples_per_class={samples_per_class}, but the training list has only '
                f'{plural(len(members), "slice")} of {name}; use a smaller number'
            )
        chosen = generator.choice(len(members), samples_per_class, replace=False)
        sample += [members[index] for index in sorted(chosen)]
    return sample


def _add_slices(
    download: Download, split: str, rows: Sequence[CncbSlice], source: Path, flat: Sequence[str]
) -> list[dict[str, Any]]:
    return download.add_slices(
        split,
        source,
        rows,
        lambda row: dict(label=row.label, patient_id=row.patient, scan_id=row.scan),
        lambda row: download.files.find(row.folder, row.name) or download.files.find_in(flat, row.flat_name),
        lambda row: f'{row.folder}/{row.name}.png',
        lambda row: f'{row.folder}/{row.name}.png or .jpg' + (f' or {row.flat_name}.png' if flat else ''),
    )


def _find_lesion_slices(download: Download, source: Path, rows: Sequence[LesionSlice]) -> list[LesionFile]:
    found: list[LesionFile] = []
    absent: list[str] = []
    for row in rows:
        image = download.files.find(f'ct_lesion_seg/image/{row.patient}', row.name, ('.jpg', '.jpeg', '.png'))
        mask = download.files.find(f'ct_lesion_seg/mask/{row.patient}', row.name, ('.png',))
        if image is None:
            absent.append(f'ct_lesion_seg/image/{row.patient}/{row.name}.jpg')
        if mask is None:
            absent.append(f'ct_lesion_seg/mask/{row.patient}/{row.name}.png')
        if image is not None and mask is not None:
            # These patients are numbered separately from those of NCP, CP and Normal; the prefix distinguishes them.
            found.append(LesionFile(image, mask, f'ct_lesion_seg/{row.patient}'))
    download.add_missing(source, len(rows), absent)
    return found
