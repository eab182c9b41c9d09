"""In-place conversion of a downloaded data set: its published lists, its slices, and the annotations added to it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmaffinity.utils.files import write_jsons_atomic
from mmaffinity.utils.wording import first_few, plural

from ..grey_levels import grey_level_statistics
from ..parallel import Progress
from .lists import PathLike
from .raw_files import RawFiles, check_data_root
from .summary import ConversionSummary

Row = TypeVar('Row')


class Download:
    """A conversion. It copies and changes no image, and computes everything before it writes the first file.

    Args:
        dataset: name of the data set.
        data_root: folder with the unpacked archives; output goes to its ``annotations``.
        classes: names of the classes by label.
        remedy: how to get the files, a clause that ends error messages.
        roles: roles of its lists, such as 'train'.
        lists: paths of individual lists, by role.
        list_folders: folders of the other lists, by default the data root and its ``lists``.
        skip_statistics: leave statistics.json unchanged; reading the training slices takes most of the time.
        check_files: look up the file of every listed slice; otherwise use the listed names unchecked.
        workers: number of threads, by default one per core and at most eight.
        progress: called as ``progress(what, done, total)``.

    Attributes:
        files: files of the data root.
        summary: counts and warnings so far.

    Raises:
        FileNotFoundError: if the data root is not a folder.
        ValueError: if ``lists`` names an unknown role.
    """

    def __init__(
        self,
        dataset: str,
        data_root: PathLike,
        classes: Sequence[str],
        remedy: str,
        roles: Sequence[str],
        lists: Mapping[str, PathLike] | None = None,
        list_folders: Sequence[PathLike] = (),
        skip_statistics: bool = False,
        check_files: bool = True,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.root, self.classes, self.remedy = Path(data_root), classes, remedy
        check_data_root(self.root, remedy)
        if lists:
            check_names('lists', lists, roles)
        self.lists = {role: Path(path) for role, path in (lists or {}).items()}
        self.list_folders = [Path(folder) for folder in list_folders or (self.root, self.root / 'lists')]
        self.skip_statistics, self.check_files = skip_statistics, check_files
        self.workers, self.progress = workers, progress
        self.files = RawFiles(self.root)
        self.summary = ConversionSummary(dataset)
        self._outputs: dict[str, Any] = {}
        self._missing: list[tuple[Path, int, list[str]]] = []

    def find_list(self, role: str, name: str, source: str) -> Path:
        """Return the path given for a role, or the first list of that name in the list folders.

        Args:
            role: role of the list.
            name: its published file name.
            source: where to get it, for the error.

        Raises:
            FileNotFoundError: if no folder has it.
        """
        if role in self.lists:
            return self.lists[role]
        for folder in self.list_folders:
            if (folder / name).is_file():
                return folder / name
        raise FileNotFoundError(
            f'the list {name} is not in {" or ".join(map(str, self.list_folders))}; get it from {source} and put it there, or '
            'pass its folder with --lists'
        )

    def refuse_other_lists(self) -> None:
        """Check that the conversion does not replace slice lists of another data set.

        CNCB-NCOV and version 1 of COVIDx-CT contain the same slices and may share a data root.

        Raises:
            ValueError: if a slice list belongs to another data set.
        """
        folder, dataset = self.root / 'annotations', self.summary.dataset
        for path in sorted(folder.glob('slices_*.json')):
            try:
                found = json.loads(path.read_bytes())['metainfo']['dataset']
            except (OSError, ValueError, TypeError, KeyError):
                continue  # incomplete, or without a data set name: this conversion replaces it
            if found != dataset:
                raise ValueError(
                    f'{path} belongs to {found}, and converting {dataset} would replace it; move {folder} away, or '
                    'use another data root with links to the image folders'
                )

    def add_slices(
        self,
        name: str,
        source: Path,
        rows: Sequence[Row],
        describe: Callable[[Row], dict[str, Any]],
        find: Callable[[Row], str | None],
        listed: Callable[[Row], str],
        missing: Callable[[Row], str] | None = None,
    ) -> list[dict[str, Any]]:
        """Add a slice list.

        Args:
            name: name of the list to write, without suffix.
            source: the published list.
            rows: its rows.
            describe: returns a row's entries besides its path.
            find: returns the path of a row's file, relative to the data root, or None.
            listed: returns the path to use if files are not checked.
            missing: describes a missing file; by default ``listed``.

        Returns:
            The entries of the list.
        """
        data_list: list[dict[str, Any]] = []
        absent: list[str] = []
        for row in rows:
            path = find(row) if self.check_files else listed(row)
            if path is None:
                absent.append((missing or listed)(row))
            else:
                data_list.append(dict(img_path=path, **describe(row)))
        self.add_missing(source, len(rows), absent)
        metainfo = dict(dataset=self.summary.dataset, slice_classes=list(self.classes), source=source.name)
        self.add_output(name, dict(metainfo=metainfo, data_list=data_list))
        self.summary.add_slices(name, data_list, self.classes)
        return data_list

    def add_output(self, name: str, content: dict[str, Any]) -> None:
        """Add a file to write, ``annotations/<name>.json``."""
        self._outputs[f'{name}.json'] = content

    def add_missing(self, source: Path, num_slices: int, paths: list[str]) -> None:
        """Record the missing files, if any, of a list with ``num_slices`` slices."""
        if paths:
            self._missing.append((source, num_slices, paths))

    def refuse_missing(self) -> None:
        """Check that no files are missing.

        Raises:
            FileNotFoundError: if any are; the message has their number by list, and the first three.
        """
        if self._missing:
            counts = ', '.join(
                f'{len(paths)} for {plural(rows, "slice")} from {source}' for source, rows, paths in self._missing
            )
            paths = [path for _, _, found in self._missing for path in found]
            raise FileNotFoundError(
                f'{plural(len(paths), "file", "is")} missing under {self.root} ({counts}): {first_few(paths)}; {self.remedy}'
            )

    def write(self) -> ConversionSummary:
        """Write the lists, and the statistics of the training slices; return the summary."""
        folder = self.root / 'annotations'
        train = self._outputs.get('slices_train.json')
        if train is not None and not self.skip_statistics:
            paths = [self.root / row['img_path'] for row in train['data_list']]
            statistics = grey_level_statistics(paths, self.workers, self.progress)
            self.summary.statistics = dict(statistics, source='slices_train.json')
            self.add_output('statistics', self.summary.statistics)
        elif any(name.startswith('slices_') for name in self._outputs) and (folder / 'statistics.json').exists():
            self.summary.warn(f'{folder / "statistics.json"} is from an earlier run, possibly with other training slices')
        outputs = {folder / name: content for name, content in self._outputs.items()}
        write_jsons_atomic(outputs)
        self.summary.files = list(outputs)
        return self.summary


def check_names(what: str, names: Mapping[str, Any] | Sequence[str], known: Sequence[str]) -> None:
    """Check that a user's choice of names is valid.

    Raises:
        ValueError: if a name is unknown, or there are none.
    """
    if not names or set(names) - set(known):
        raise ValueError(f'cannot convert the {what} {list(names)}; choose from {", ".join(known)}')
