"""Conversion of the raw iCTCF download and its published lists."""

from collections.abc import Mapping
from typing import Any

from mmaffinity.utils.wording import first_few, plural

from .downloads import Download
from .lists import ICTCF_CLASSES, IctcfSlice, PathLike, parse_ictcf_list
from .summary import ConversionSummary

LIST_NAMES = dict(train='train_ictcf.txt', test='test_ictcf.txt')
PUBLISHED_SOURCE = 'https://github.com/AlexTS1980/COVID-Affinity-Model'
_REMEDY = (
    'download the labelled CT slices from http://ictcf.biocuckoo.cn and unpack them so that the data root '
    'contains nCT/ and pCT/ (docs/data.md)'
)


def convert_ictcf(data_root: PathLike, lists: Mapping[str, PathLike] | None = None, **options: Any) -> ConversionSummary:
    """Write ``<data_root>/annotations/``: slice lists and grey-level statistics.

    The published lists do not identify patients, so the slice lists have none.

    Args:
        data_root: folder with the unpacked nCT/ and pCT/.
        lists: paths of individual lists, by 'train' or 'test'.
        **options: ``list_folders``, ``skip_statistics``, ``check_files``, ``workers`` and ``progress``, see
            :class:`~.downloads.Download`.

    Returns:
        Counts per split and class, and the files written.

    Raises:
        FileNotFoundError: if the data root, a list or slices are missing.
        ValueError: if a list, slice or argument is invalid.
    """
    download = Download('iCTCF', data_root, ICTCF_CLASSES, _REMEDY, list(LIST_NAMES), lists, **options)

    def find(row: IctcfSlice) -> str | None:
        suffixes = ('.jpg', '.jpeg', '.png')
        usual = download.files.find(row.folder, f'{row.folder}{row.number}', suffixes)
        # Some copies of the data omit the folder name from the file name: nCT/12.jpg instead of nCT/nCT12.jpg.
        return usual or download.files.find(row.folder, row.number, suffixes)

    rows: dict[str, list[IctcfSlice]] = {}
    for split, name in LIST_NAMES.items():
        source = download.find_list(split, name, PUBLISHED_SOURCE)
        rows[split] = parse_ictcf_list(source)
        download.add_slices(
            f'slices_{split}',
            source,
            rows[split],
            lambda row: dict(label=row.label, patient_id=None, scan_id=None),
            find,
            lambda row: f'{row.folder}/{row.folder}{row.number}.jpg',
        )
    download.refuse_missing()
    shared = [f'{row.folder}{row.number}' for row in sorted(set(rows['train']) & set(rows['test']))]
    if shared:
        download.summary.warn(
            f'{plural(len(shared), "slice", "is")} in both the training and the test list ({first_few(shared)})'
        )
    download.summary.warn(
        'the iCTCF lists do not identify patients and are split by slice: a patient may be in both training and test'
    )
    return download.write()
