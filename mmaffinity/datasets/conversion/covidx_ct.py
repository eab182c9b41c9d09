"""Convert COVIDx-CT, versions 1 to 3, as downloaded from Kaggle, to what the data sets here read."""

import os
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from mmaffinity.utils.wording import first_few, plural

from ..parallel import Progress
from .covidx_lists import FINDINGS, CovidxSlice, PatientMetadata, metadata_id, parse_covidx_ct_list, read_metadata
from .lists import CNCB_CLASSES, find_list
from .raw_files import MissingFiles, RawFiles, check_annotations, check_data_root, flat_folders
from .slice_files import write_download
from .summary import ConversionSummary

PathLike = str | os.PathLike

VERSIONS = ('1', '2A', '2B', '3A', '3B')
SPLITS = ('train', 'val', 'test')
SOURCE = 'https://www.kaggle.com/datasets/hgunraj/covidxct, or splits/ of https://github.com/haydengunraj/COVIDNet-CT'
_LIST_NAME = re.compile(r'(train|val|test)_COVIDx_CT-(1|2A|2B|3A|3B)\.txt')
_REMEDY = (
    'download the version of these lists from https://www.kaggle.com/datasets/hgunraj/covidxct and unpack it, or give '
    'the folder of its images with --images; variant B has MosMedData slices that are not on Kaggle (docs/data.md)'
)


def convert_covidx_ct(
    data_root: PathLike,
    list_version: str | None = None,
    lists: Mapping[str, PathLike] | None = None,
    list_folders: Sequence[PathLike] = (),
    image_folders: Sequence[PathLike] = (),
    metadata: PathLike | None = None,
    splits: Sequence[str] = SPLITS,
    skip_statistics: bool = False,
    check_files: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ConversionSummary:
    """Write ``<data_root>/annotations/``: slice lists with patients, sources and body boxes, and grey level statistics.

    No image is copied or changed. Everything is computed before the first file is written.

    Args:
        data_root: The unpacked download: a flat image folder such as ``3A_images/``, the lists, ``metadata.csv``.
        list_version: '1', '2A', '2B', '3A' or '3B'; by default the one whose lists are there. The B variants take
            validation and test lists of A where they have none.
        lists: Single lists by path, under 'train', 'val' or 'test'.
        list_folders: Where the other lists are, by default ``data_root`` and its ``lists``.
        image_folders: Folders of images below ``data_root``, by default all of two levels, those of this version first.
        metadata: The metadata.csv, by default that of ``data_root`` or of a list folder. Version 1 has none.
        splits: 'train', 'val' and 'test', or those of them to convert.
        skip_statistics: Leave statistics.json as it is; reading the training slices takes most of the time.
        check_files: Look for every listed slice. Otherwise the listed names are taken as they are.
        workers: Number of threads, by default one per core and eight at most.
        progress: Called as ``progress(what, done, total)``.

    Returns:
        Counts per split, class, source and patient, and what was written.

    Raises:
        FileNotFoundError: if the data root, a list, metadata.csv or slices are missing, saying which and from where.
        ValueError: if a list, image or argument is wrong, lists of several versions are there and none is chosen, or
            annotations/ holds another data set's lists.
    """
    data_root = Path(data_root)
    check_data_root(data_root, _REMEDY)
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown or not splits:
        raise ValueError(f'cannot convert the splits {list(splits)}; choose from {", ".join(SPLITS)}')
    places = [Path(folder) for folder in list_folders] or [data_root, data_root / 'lists']
    version, paths = _find_lists(list_version, dict(lists or {}), places, [split for split in SPLITS if split in splits])
    dataset = f'COVIDx-CT {version}'
    folder = data_root / 'annotations'
    check_annotations(folder, dataset)
    patients = _find_metadata(metadata, [data_root, *places])
    summary = ConversionSummary(dataset)
    # Lists first, as reading them shows most mistakes within seconds.
    rows = {split: parse_covidx_ct_list(path) for split, path in paths.items()}
    folders = _image_folders(data_root, image_folders, version) or [f'{version}_images']
    files = RawFiles(data_root)
    missing = MissingFiles(data_root, _REMEDY)
    outputs: dict[Path, Any] = {}
    for split, found in rows.items():
        data_list: list[dict[str, Any]] = []
        absent: list[str] = []
        for row in found:
            path = files.find_in(folders, row.name) if check_files else f'{folders[0]}/{row.name}.png'.lstrip('/')
            if path is None:
                absent.append(f'{row.name}.png')
            else:
                data_list.append(_entry(row, path, patients))
        missing.add(paths[split], len(found), absent)
        outputs[folder / f'slices_{split}.json'] = dict(
            metainfo=dict(dataset=dataset, slice_classes=list(CNCB_CLASSES), source=paths[split].name), data_list=data_list
        )
        summary.add_slices(f'slices_{split}', data_list, CNCB_CLASSES)
        summary.add_sources(f'slices_{split}', data_list)
    missing.raise_if_any()

    _check_names(summary, rows, patients)
    _check_leakage(summary, {split: outputs[folder / f'slices_{split}.json']['data_list'] for split in rows})
    return write_download(data_root, outputs, skip_statistics, summary, workers, progress)


def _find_lists(
    version: str | None, given: dict[str, PathLike], folders: Sequence[Path], splits: Sequence[str]
) -> tuple[str, dict[str, Path]]:
    """Return the version and the list of each split."""
    if version is not None and version not in VERSIONS:
        raise ValueError(f'there is no COVIDx-CT version {version!r}; choose from {", ".join(VERSIONS)}')
    if version is None:
        version = _recognise(given, folders, splits)
    paths: dict[str, Path] = {}
    for split in splits:
        names = [f'{split}_COVIDx_CT-{version}.txt']
        if version.endswith('B') and split != 'train':
            names.append(names[0].replace('B.txt', 'A.txt'))  # both variants share these lists
        there = next((name for name in names if any((folder / name).is_file() for folder in folders)), names[-1])
        paths[split] = Path(given[split]) if split in given else find_list(there, folders, SOURCE)
    return version, paths


def _recognise(given: Mapping[str, PathLike], folders: Sequence[Path], splits: Sequence[str]) -> str:
    """Return the version that the names of the lists tell; the first split's, as B shares the others with A."""
    split = splits[0]
    names = (
        [Path(given[split]).name]
        if split in given
        else [entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()]
    )
    versions = sorted({match[2] for name in names if (match := _LIST_NAME.fullmatch(name)) and match[1] == split})
    if len(versions) == 1:
        return versions[0]
    if versions:
        raise ValueError(f'found {split} lists of the versions {" and ".join(versions)}; choose one with --list-version')
    if split in given:
        raise ValueError(
            f'the name of {given[split]} does not contain its version (as train_COVIDx_CT-3A.txt does); give '
            'it with --list-version'
        )
    others = '' if split != 'train' else '; --splits val test converts only those lists'
    raise FileNotFoundError(
        f'found no list {split}_COVIDx_CT-*.txt in {" or ".join(map(str, folders))}; get it from '
        f'{SOURCE}, or give its folder with --lists{others}'
    )


def _find_metadata(given: PathLike | None, folders: Sequence[Path]) -> dict[str, PatientMetadata]:
    if given is not None:
        return read_metadata(given)
    path = next((folder / 'metadata.csv' for folder in folders if (folder / 'metadata.csv').is_file()), None)
    return read_metadata(path) if path is not None else {}


def _image_folders(data_root: Path, given: Sequence[PathLike], version: str) -> list[str]:
    """Return the folders to look for slices in, relative to the data root."""
    if not given:
        return flat_folders(data_root, version)
    folders = []
    for folder in map(Path, given):
        # As the shell completes it, from the current folder, or as the data root has it.
        inside = (folder if folder.is_dir() else data_root / folder).resolve()
        if not inside.is_dir():
            raise FileNotFoundError(f'the image folder {folder} does not exist; correct --images')
        if not inside.is_relative_to(data_root.resolve()):
            raise ValueError(
                f'the image folder {folder} is outside the data root {data_root}, to which the paths in slice '
                'lists are relative; move it there, or give a data root that contains both'
            )
        relative = inside.relative_to(data_root.resolve()).as_posix()
        folders.append('' if relative == '.' else relative)
    return folders


def _entry(row: CovidxSlice, path: str, metadata: Mapping[str, PatientMetadata]) -> dict[str, Any]:
    """One entry of a slice list; names of no known source have what metadata.csv knows."""
    source, patient, scan, _ = row.origin
    if patient is None and (patient := metadata_id(row, metadata)) is not None:
        source = metadata[patient].source
    entry: dict[str, Any] = dict(img_path=path, label=row.label, patient_id=patient, scan_id=scan, source=source)
    if row.box is not None:
        entry['body_box'] = list(row.box)
    return entry


def _check_names(
    summary: ConversionSummary, rows: Mapping[str, Sequence[CovidxSlice]], metadata: Mapping[str, PatientMetadata]
) -> None:
    """Warn of names that follow no rule, and where names and labels disagree with metadata.csv."""
    unknown: list[str] = []
    absent: dict[str, None] = {}
    differing: dict[str, None] = {}
    for row in (row for found in rows.values() for row in found):
        identity = metadata_id(row, metadata)
        if identity is not None:
            source, finding = metadata[identity]
            if finding != FINDINGS[row.label] or row.origin.source not in (None, source):
                differing[identity] = None
        elif row.origin.patient is not None:
            absent[row.origin.patient] = None
        else:
            unknown.append(row.name)
    if unknown:
        summary.warn(
            f'{plural(len(unknown), "slice", "has")} a name from no known source ({first_few(unknown)}): their '
            'patients are unknown, and leakage between lists cannot be excluded'
        )
    if metadata and absent:
        summary.warn(f'metadata.csv lacks {plural(len(absent), "patient")} ({first_few(list(absent))}): is it of this version?')
    if differing:
        summary.warn(
            f'metadata.csv disagrees with the lists on the finding or source of {plural(len(differing), "patient")} '
            f'({first_few(list(differing))}): using the lists'
        )


def _check_leakage(summary: ConversionSummary, data_lists: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Warn where two lists share patients, or slices whose patients are not known."""
    for one, other in combinations(data_lists, 2):
        summary.check_patients(
            f'slices_{one}', _known(data_lists[one], 'patient_id'), f'slices_{other}', _known(data_lists[other], 'patient_id')
        )
        nameless = [{row['img_path'] for row in data_lists[split] if row['patient_id'] is None} for split in (one, other)]
        if shared := sorted(nameless[0] & nameless[1]):
            summary.warn(f'{plural(len(shared), "slice", "is")} in both slices_{one} and slices_{other} ({first_few(shared)})')


def _known(data_list: Sequence[Mapping[str, Any]], key: str) -> set[str]:
    return {row[key] for row in data_list if row[key] is not None}
