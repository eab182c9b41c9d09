"""Convert the raw iCTCF download and the published lists to what the data sets here read."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..parallel import Progress
from .lists import ICTCF_CLASSES, IctcfSlice, find_list, parse_ictcf_list
from .raw_files import MissingFiles, RawFiles, check_data_root
from .slice_files import write_download
from .summary import ConversionSummary

PathLike = str | os.PathLike

LIST_NAMES = dict(train='train_ictcf.txt', test='test_ictcf.txt')
PUBLISHED_SOURCE = 'https://github.com/AlexTS1980/COVID-Affinity-Model'
_REMEDY = (
    'download the labelled CT slices from http://ictcf.biocuckoo.cn and unpack them so that the data root '
    'contains nCT/ and pCT/ (docs/data.md)'
)


def convert_ictcf(
    data_root: PathLike,
    train_list: PathLike | None = None,
    test_list: PathLike | None = None,
    list_folders: Sequence[PathLike] = (),
    skip_statistics: bool = False,
    check_files: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ConversionSummary:
    """Write ``<data_root>/annotations/``: slice lists and grey level statistics.

    No image is copied or changed. Everything is computed before the first file is written. The lists do not tell
    patients, so none are written.

    Args:
        data_root: Folder with the unpacked nCT/ and pCT/.
        train_list: The training list, by default looked for in ``list_folders``.
        test_list: The test list, by default looked for in ``list_folders``.
        list_folders: Where the lists are, by default ``<data_root>/lists``.
        skip_statistics: Leave statistics.json as it is.
        check_files: Look for every listed slice. Otherwise the listed names are taken as they are.
        workers: Number of threads, by default one per core and eight at most.
        progress: Called as ``progress(what, done, total)``.

    Returns:
        Counts per split and class, and what was written.

    Raises:
        FileNotFoundError: if the data root, a list or slices are missing, saying which, how many and from where.
        ValueError: if a list or a slice is wrong, naming it.
    """
    data_root = Path(data_root)
    check_data_root(data_root, _REMEDY)
    folder = data_root / 'annotations'
    files = RawFiles(data_root)
    missing = MissingFiles(data_root, _REMEDY)
    summary = ConversionSummary('iCTCF')
    outputs: dict[Path, Any] = {}
    rows: dict[str, list[IctcfSlice]] = {}
    for split, given in (('train', train_list), ('test', test_list)):
        source = (
            Path(given)
            if given is not None
            else find_list(LIST_NAMES[split], list_folders or [data_root / 'lists'], PUBLISHED_SOURCE)
        )
        rows[split] = parse_ictcf_list(source)
        data_list = _find_slices(rows[split], source, files if check_files else None, missing)
        outputs[folder / f'slices_{split}.json'] = dict(
            metainfo=dict(dataset='iCTCF', slice_classes=list(ICTCF_CLASSES), source=source.name), data_list=data_list
        )
        summary.add_slices(f'slices_{split}', data_list, ICTCF_CLASSES)
    missing.raise_if_any()

    shared = sorted(set(rows['train']) & set(rows['test']))
    if shared:
        first = ', '.join(f'{row.folder}{row.number}' for row in shared[:3]) + (', ...' if len(shared) > 3 else '')
        summary.warn(
            f'{len(shared)} {"slice is" if len(shared) == 1 else "slices are"} in both the training and the test list ({first})'
        )
    summary.warn('the iCTCF lists do not identify patients and are split by slice: a patient may be in both training and test')
    return write_download(data_root, outputs, skip_statistics, summary, workers, progress)


def _find_slices(
    rows: Sequence[IctcfSlice], source: Path, files: RawFiles | None, missing: MissingFiles
) -> list[dict[str, Any]]:
    data_list: list[dict[str, Any]] = []
    absent: list[str] = []
    for row in rows:
        folder, name = row.folder, f'{row.folder}{row.number}'
        path: str | None = f'{folder}/{name}.jpg'
        if files is not None:
            suffixes = ('.jpg', '.jpeg', '.png')
            # Some copies of the data drop the folder's name from that of the file: nCT/12.jpg for nCT/nCT12.jpg.
            path = files.find(folder, name, suffixes) or files.find(folder, row.number, suffixes)
        if path is None:
            absent.append(f'{folder}/{name}.jpg')
        else:
            data_list.append(dict(img_path=path, label=row.label, patient_id=None, scan_id=None))
    missing.add(source, len(rows), absent)
    return data_list
