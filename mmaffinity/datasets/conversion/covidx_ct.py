"""Conversion of COVIDx-CT, versions 1 to 3, as downloaded from Kaggle."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from mmaffinity.utils.wording import first_few, plural

from .covidx_lists import FINDINGS, CovidxSlice, PatientMetadata, metadata_id, parse_covidx_ct_list, read_metadata
from .downloads import Download, check_names
from .lists import CNCB_CLASSES, PathLike
from .raw_files import flat_folders
from .summary import ConversionSummary

VERSIONS = ('1', '2A', '2B', '3A', '3B')
SPLITS = ('train', 'val', 'test')
SOURCE = 'https://www.kaggle.com/datasets/hgunraj/covidxct, or splits/ of https://github.com/haydengunraj/COVIDNet-CT'
_LIST_NAME = re.compile(r'(train|val|test)_COVIDx_CT-(1|2A|2B|3A|3B)\.txt')
_REMEDY = (
    'download the version of these lists from https://www.kaggle.com/datasets/hgunraj/covidxct and unpack it, or pass '
    'the folder of its images with --images; variant B has MosMedData slices that are not on Kaggle (docs/data.md)'
)


def convert_covidx_ct(
    data_root: PathLike,
    list_version: str | None = None,
    lists: Mapping[str, PathLike] | None = None,
    image_folders: Sequence[PathLike] = (),
    metadata: PathLike | None = None,
    splits: Sequence[str] = SPLITS,
    **options: Any,
) -> ConversionSummary:
    """Write ``<data_root>/annotations/``: slice lists with patients, sources and body boxes, and grey-level statistics.

    Args:
        data_root: the unpacked download: a flat image folder such as ``3A_images/``, the lists, ``metadata.csv``.
        list_version: '1', '2A', '2B', '3A' or '3B'; by default the version of the lists found. The B variants use the
            validation and test lists of A if they have none of their own.
        lists: paths of individual lists, by 'train', 'val' or 'test'.
        image_folders: image folders within ``data_root``; by default all down to two levels, those of this version first.
        metadata: path of metadata.csv, by default that in ``data_root`` or a list folder. Version 1 has none.
        splits: the splits to convert, out of 'train', 'val' and 'test'.
        **options: ``list_folders``, ``skip_statistics``, ``check_files``, ``workers`` and ``progress``, see
            :class:`~.downloads.Download`.

    Returns:
        Counts per split, class, source and patient, and the files written.

    Raises:
        FileNotFoundError: if the data root, a list, a given metadata.csv or slices are missing.
        ValueError: if a list, image or argument is invalid, lists of several versions are present and none is chosen, or
            ``annotations/`` contains lists of another data set.
    """
    download = Download('COVIDx-CT', data_root, CNCB_CLASSES, _REMEDY, SPLITS, lists, **options)
    check_names('splits', splits, SPLITS)
    if list_version not in (None, *VERSIONS):
        raise ValueError(f'there is no COVIDx-CT version {list_version!r}; choose from {", ".join(VERSIONS)}')
    splits = [split for split in SPLITS if split in splits]
    version = list_version or _recognise(download, splits[0])
    download.summary.dataset = f'COVIDx-CT {version}'
    paths = {split: _find_list(download, split, version) for split in splits}
    download.refuse_other_lists()
    patients = _find_metadata(metadata, [download.root, *download.list_folders])
    # Lists first, because reading them reveals most mistakes within seconds.
    rows = {split: parse_covidx_ct_list(path) for split, path in paths.items()}
    folders = _image_folders(download.root, image_folders, version) or [f'{version}_images']
    data_lists = {}
    for split, found in rows.items():
        data_lists[f'slices_{split}'] = download.add_slices(
            f'slices_{split}',
            paths[split],
            found,
            lambda row: _describe(row, patients),
            lambda row: download.files.find_in(folders, row.name),
            lambda row: f'{folders[0]}/{row.name}.png'.lstrip('/'),
            lambda row: f'{row.name}.png',
        )
        download.summary.add_sources(f'slices_{split}', data_lists[f'slices_{split}'])
    download.refuse_missing()
    _check_names(download.summary, rows, patients)
    _check_leakage(download.summary, data_lists)
    return download.write()


def _find_list(download: Download, split: str, version: str) -> Path:
    names = [f'{split}_COVIDx_CT-{version}.txt']
    if version.endswith('B') and split != 'train':
        names.append(names[0].replace('B.txt', 'A.txt'))  # both variants share these lists
    there = next((name for name in names if any((folder / name).is_file() for folder in download.list_folders)), names[-1])
    return download.find_list(split, there, SOURCE)


def _recognise(download: Download, split: str) -> str:
    """Return the version in the name of a split's list: the first split's, because B may share the others with A."""
    given = download.lists.get(split)
    folders = [folder for folder in download.list_folders if folder.is_dir()]
    names = [path.name for path in ([given] if given else [path for folder in folders for path in folder.iterdir()])]
    versions = sorted({match[2] for name in names if (match := _LIST_NAME.fullmatch(name)) and match[1] == split})
    if len(versions) == 1:
        return versions[0]
    if versions:
        raise ValueError(f'found {split} lists of the versions {" and ".join(versions)}; choose one with --list-version')
    if given:
        raise ValueError(
            f'the name of {given} does not contain its version, as train_COVIDx_CT-3A.txt does; set it with --list-version'
        )
    others = '' if split != 'train' else '; --splits val test converts only those lists'
    raise FileNotFoundError(
        f'found no list {split}_COVIDx_CT-*.txt in {" or ".join(map(str, download.list_folders))}; get it from '
        f'{SOURCE}, or pass its folder with --lists{others}'
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
        # Relative to the current folder, as completed by a shell, or to the data root.
        inside = (folder if folder.is_dir() else data_root / folder).resolve()
        if not inside.is_dir():
            raise FileNotFoundError(f'the image folder {folder} does not exist; correct --images')
        if not inside.is_relative_to(data_root.resolve()):
            raise ValueError(
                f'the image folder {folder} is outside the data root {data_root}, to which the paths in slice '
                'lists are relative; move it there, or choose a data root that contains both'
            )
        relative = inside.relative_to(data_root.resolve()).as_posix()
        folders.append('' if relative == '.' else relative)
    return folders


def _describe(row: CovidxSlice, metadata: Mapping[str, PatientMetadata]) -> dict[str, Any]:
    """Return the entries of a slice; if its name matches no known source, they come from metadata.csv."""
    source, patient, scan, _ = row.origin
    if patient is None and (patient := metadata_id(row, metadata)) is not None:
        source = metadata[patient].source
    entry: dict[str, Any] = dict(label=row.label, patient_id=patient, scan_id=scan, source=source)
    return entry if row.box is None else entry | dict(body_box=list(row.box))


def _check_names(
    summary: ConversionSummary, rows: Mapping[str, Sequence[CovidxSlice]], metadata: Mapping[str, PatientMetadata]
) -> None:
    """Warn about names that match no known source, and names and labels that disagree with metadata.csv."""
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
            f'{plural(len(unknown), "slice", "has")} a name that matches no known source ({first_few(unknown)}): their '
            'patients are unknown, and leakage between lists cannot be ruled out'
        )
    if metadata and absent:
        summary.warn(
            f'metadata.csv lacks {plural(len(absent), "patient")} ({first_few(list(absent))}): check that it is of this version'
        )
    if differing:
        summary.warn(
            f'metadata.csv disagrees with the lists on the finding or source of {plural(len(differing), "patient")} '
            f'({first_few(list(differing))}): using the lists'
        )


def _check_leakage(summary: ConversionSummary, data_lists: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Warn about lists that share patients, or slices whose patients are unknown."""
    known = {split: {row['patient_id'] for row in rows} - {None} for split, rows in data_lists.items()}
    nameless = {split: {row['img_path'] for row in rows if row['patient_id'] is None} for split, rows in data_lists.items()}
    for one, other in combinations(data_lists, 2):
        summary.check_patients(one, known[one], other, known[other])
        if shared := sorted(nameless[one] & nameless[other]):
            summary.warn(f'{plural(len(shared), "slice", "is")} in both {one} and {other} ({first_few(shared)})')
