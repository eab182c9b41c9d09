"""Convert the raw CNCB-NCOV download and the published lists to what the data sets here read."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.utils.wording import plural

from ..parallel import Progress
from .coco import LesionFile, build_coco
from .lists import (
    CNCB_CLASSES,
    CncbSlice,
    LesionSlice,
    find_list,
    parse_covidx_list,
    parse_published_list,
    parse_segmentation_list,
)
from .raw_files import MissingFiles, RawFiles, check_annotations, check_data_root, flat_folders
from .slice_files import write_download
from .summary import ConversionSummary

PathLike = str | os.PathLike

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


@dataclass
class CncbLists:
    """Paths of the lists; one that is None is looked for under its published name (:data:`LIST_NAMES`)."""

    train: PathLike | None = None
    val: PathLike | None = None
    test: PathLike | None = None
    train_sample: PathLike | None = None
    lesions_train: PathLike | None = None
    lesions_test: PathLike | None = None


def convert_cncb_ncov(
    data_root: PathLike,
    lists: CncbLists | None = None,
    list_folders: Sequence[PathLike] = (),
    parts: Sequence[str] = PARTS,
    samples_per_class: int | None = None,
    seed: int = 0,
    keep_classes_apart: bool = False,
    min_area: int = 100,
    skip_statistics: bool = False,
    check_files: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ConversionSummary:
    """Write ``<data_root>/annotations/``: lesions as COCO JSON, slice lists, grey level statistics.

    No image is copied or changed. Everything is computed before the first file is written.

    Args:
        data_root: Folder with the unpacked NCP/, CP/, Normal/ and ct_lesion_seg/. A flat folder with the images of COVIDx-CT
            version 1 serves instead of the first three.
        lists: Single lists by path; the others are looked for in ``list_folders``.
        list_folders: Where the lists are, by default the data root and its ``lists``.
        parts: 'lesions' and 'slices', or one of them where only that part of the data is at hand.
        samples_per_class: Draw that many training slices per class from the COVIDx-CT training list, instead of taking
            the author's list of 3000.
        seed: Of that draw.
        keep_classes_apart: Two lesion categories, ground glass opacity and consolidation, instead of one.
        min_area: Pixels; only larger 8-connected components are lesions.
        skip_statistics: Leave statistics.json as it is; reading the training slices takes most of the time.
        check_files: Look for every listed slice. Otherwise the listed names are taken as they are.
        workers: Number of threads, by default one per core and eight at most.
        progress: Called as ``progress(what, done, total)``.

    Returns:
        Counts per split, class and patient, and what was written.

    Raises:
        FileNotFoundError: if the data root, a list or slices are missing, saying which, how many and from where.
        ValueError: if a list, mask, image or argument is wrong, naming it.
    """
    data_root = Path(data_root)
    check_data_root(data_root, _REMEDY)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts:
        raise ValueError(f'cannot convert the parts {list(parts)}; choose from {", ".join(PARTS)}')
    finder = _ListFinder(lists or CncbLists(), list_folders or [data_root, data_root / 'lists'])
    files = RawFiles(data_root)
    folder = data_root / 'annotations'
    summary = ConversionSummary('CNCB-NCOV')
    if 'slices' in parts:
        check_annotations(folder, summary.dataset)
    outputs: dict[Path, Any] = {}

    # Lists and presence of files are quick to check, so both parts are checked before the masks are read.
    missing = MissingFiles(data_root, _REMEDY)
    lesion_files: dict[str, list[LesionFile]] = {}
    if 'lesions' in parts:
        for split in ('lesions_train', 'lesions_test'):
            source = finder.find(split)
            lesion_files[split] = _find_lesion_slices(parse_segmentation_list(source), source, files, missing)
    slice_lists: dict[str, dict[str, Any]] = {}
    if 'slices' in parts:
        flat = flat_folders(data_root, '1') if check_files else []
        for split, (rows, source) in _read_slice_splits(finder, samples_per_class, seed).items():
            data_list = _find_slices(rows, source, files if check_files else None, flat, missing)
            slice_lists[split] = dict(
                metainfo=dict(dataset=summary.dataset, slice_classes=list(CNCB_CLASSES), source=source.name),
                data_list=data_list,
            )
    missing.raise_if_any()

    for split, content in slice_lists.items():
        summary.add_slices(split, content['data_list'], CNCB_CLASSES)
        outputs[folder / f'{split}.json'] = content
    if slice_lists:
        _check_slice_patients(summary, slice_lists)
    for split, found in lesion_files.items():
        coco, num_small = build_coco(data_root, found, min_area, keep_classes_apart, finder.find(split).name, workers, progress)
        summary.add_lesions(split, coco, num_small)
        outputs[folder / f'{split}.json'] = coco
    if lesion_files:
        summary.check_patients(
            'lesions_train',
            (file.patient_id for file in lesion_files['lesions_train']),
            'lesions_test',
            (file.patient_id for file in lesion_files['lesions_test']),
        )
    return write_download(data_root, outputs, skip_statistics, summary, workers, progress)


class _ListFinder:
    """Finds lists by their role: given by path, or under the published name in one of the folders."""

    def __init__(self, lists: CncbLists, folders: Sequence[PathLike]) -> None:
        self.given = {name: Path(path) for name, path in asdict(lists).items() if path is not None}
        self.folders = folders

    def find(self, role: str) -> Path:
        if role in self.given:
            return self.given[role]
        source = COVIDX_SOURCE if role in ('train', 'val', 'test') else PUBLISHED_SOURCE
        try:
            return find_list(LIST_NAMES[role], self.folders, source)
        except FileNotFoundError as error:
            if role != 'train_sample':
                raise
            raise FileNotFoundError(f'{error}; or draw a balanced sample with --samples-per-class 1000') from None


def _read_slice_splits(finder: _ListFinder, samples_per_class: int | None, seed: int) -> dict[str, tuple]:
    """Return rows and list of each split."""
    train_path = finder.find('train')
    train = parse_covidx_list(train_path)
    if samples_per_class is not None:
        if 'train_sample' in finder.given:
            raise ValueError(
                f'both the list {finder.given["train_sample"]} and {plural(samples_per_class, "sample")} per '
                'class are given for the training slices; give only one of them'
            )
        sample, sample_path = draw_balanced_sample(train, samples_per_class, seed), train_path
    else:
        sample_path = finder.find('train_sample')
        sample = parse_published_list(sample_path)
        known = set(train)
        foreign = [row for row in sample if row not in known]
        if foreign:
            first = ', '.join('_'.join(map(str, row)) for row in foreign[:3]) + (', ...' if len(foreign) > 3 else '')
            raise ValueError(
                f'{train_path} lacks {plural(len(foreign), "row")} of {sample_path}, which should be '
                f'a subset of it ({first}); give two lists that match'
            )
    drawn = set(sample)
    splits = dict(
        slices_train=(sample, sample_path), slices_train_left_out=([row for row in train if row not in drawn], train_path)
    )
    for split in ('val', 'test'):
        path = finder.find(split)
        splits[f'slices_{split}'] = (parse_covidx_list(path), path)
    return splits


def draw_balanced_sample(rows: Sequence[CncbSlice], samples_per_class: int, seed: int = 0) -> list[CncbSlice]:
    """Draw the same number of slices of every class, without replacement.

    Args:
        rows: Slices to draw from; their order does not matter.
        samples_per_class: How many of each class.
        seed: The same seed gives the same sample.

    Returns:
        The sample, class by class, in the order of patients, scans and slices.

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
                f'{plural(len(members), "slice")} of {name}; ask for fewer'
            )
        chosen = generator.choice(len(members), samples_per_class, replace=False)
        sample += [members[index] for index in sorted(chosen)]
    return sample


def _find_slices(
    rows: Sequence[CncbSlice], source: Path, files: RawFiles | None, flat: Sequence[str], missing: MissingFiles
) -> list[dict[str, Any]]:
    data_list: list[dict[str, Any]] = []
    absent: list[str] = []
    for row in rows:
        folder = row.folder
        if files is None:
            path: str | None = f'{folder}/{row.name}.png'
        else:
            path = files.find(folder, row.name) or files.find_in(flat, row.flat_name)
        if path is None:
            absent.append(f'{folder}/{row.name}.png or .jpg' + (f' or {row.flat_name}.png' if flat else ''))
        else:
            data_list.append(dict(img_path=path, label=row.label, patient_id=row.patient, scan_id=row.scan))
    missing.add(source, len(rows), absent)
    return data_list


def _find_lesion_slices(rows: Sequence[LesionSlice], source: Path, files: RawFiles, missing: MissingFiles) -> list[LesionFile]:
    found: list[LesionFile] = []
    absent: list[str] = []
    for row in rows:
        image = files.find(f'ct_lesion_seg/image/{row.patient}', row.name, ('.jpg', '.jpeg', '.png'))
        mask = files.find(f'ct_lesion_seg/mask/{row.patient}', row.name, ('.png',))
        if image is None:
            absent.append(f'ct_lesion_seg/image/{row.patient}/{row.name}.jpg')
        if mask is None:
            absent.append(f'ct_lesion_seg/mask/{row.patient}/{row.name}.png')
        if image is not None and mask is not None:
            # These patients are numbered apart from those of NCP, CP and Normal; the prefix keeps them apart here.
            found.append(LesionFile(image, mask, f'ct_lesion_seg/{row.patient}'))
    missing.add(source, len(rows), absent)
    return found


def _check_slice_patients(summary: ConversionSummary, slice_lists: dict[str, dict[str, Any]]) -> None:
    """Warn where splits share patients, as the author's 3000 slices and the rest of their list do."""
    patients = {split: {row['patient_id'] for row in content['data_list']} for split, content in slice_lists.items()}
    train = patients['slices_train'] | patients['slices_train_left_out']
    summary.check_patients('slices_train', patients['slices_train'], 'slices_train_left_out', patients['slices_train_left_out'])
    summary.check_patients('the training list', train, 'slices_val', patients['slices_val'])
    summary.check_patients('the training list', train, 'slices_test', patients['slices_test'])
    summary.check_patients('slices_val', patients['slices_val'], 'slices_test', patients['slices_test'])
