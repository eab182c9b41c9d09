"""The data root written by a converter of scans, volumes or folders: slices, lists, statistics, and how they were made."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from mmaffinity.scans.notes import WARNING, SliceNotes
from mmaffinity.utils.files import whole_folder, write_jsons_atomic

from ..grey_levels import grey_level_statistics
from ..parallel import Progress, map_files
from .coco import MERGED_CATEGORIES, AnnotatedSlice, coco_of
from .lesion_options import LesionOptions
from .lists import PathLike
from .splits import SplitOptions, each_split
from .summary import ConversionSummary

SLICES = 'slices'  # folder of the slices
RECORD = 'annotations/conversion.json'  # how the slices were made; marks a folder as written by a converter
Item = TypeVar('Item')
Result = TypeVar('Result')


class UnusableError(ValueError):
    """An input that cannot be converted; the message is a full sentence. Conversion continues with the other inputs."""


class ResultFolder:
    """A data root that a converter fills. It appears only when complete, so an interrupted run leaves an earlier result intact.

    Args:
        dataset: name of the data set.
        out: output folder.
        splits: how to split the patients.
        overwrite: replace an earlier result.
        workers: number of threads, by default one per core and at most eight.
        progress: called as ``progress(what, done, total)``.

    Attributes:
        path: the folder to fill, within :meth:`filling`.
        summary: counts, warnings and problems so far.
    """

    def __init__(
        self,
        dataset: str,
        out: PathLike,
        splits: SplitOptions | None = None,
        overwrite: bool = False,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.path = self.out = Path(out)
        self.splits, self.overwrite = splits or SplitOptions(), overwrite
        self.workers, self.progress = workers, progress
        self.summary = ConversionSummary(dataset)

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Fill the folder.

        Raises:
            FileExistsError: if ``out`` contains anything that may not be replaced.
        """
        with whole_folder(self.out, RECORD, self.overwrite) as self.path:
            yield

    def convert_each(self, convert: Callable[[Item], Result], items: Sequence[Item], what: str) -> list[Result]:
        """Return the results of all usable items, and record the others as problems.

        Args:
            convert: converts an item; raises :class:`UnusableError` if it cannot be used.
            items: the items.
            what: plural noun for the items, for ``progress``.
        """

        def attempt(item: Item) -> Result | UnusableError:
            try:
                return convert(item)
            except UnusableError as error:
                return error

        results = map_files(attempt, items, self.workers, self.progress, what)
        self.summary.add_problems(str(result) for result in results if isinstance(result, UnusableError))
        return [result for result in results if not isinstance(result, UnusableError)]

    def write_slice(self, name: str, grey: np.ndarray) -> None:
        """Write a slice, uint8 (H, W), as PNG; the name is relative to the folder, with '/'."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode('.png', grey, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes())

    def place_slices(self, name: str, folder: Path, slices: Iterable[str], copy: bool) -> None:
        """Create ``name`` as a link to a folder of slices, or as a folder with copies of them.

        Args:
            name: name of the link or folder.
            folder: folder of the slices.
            slices: files to copy, relative to ``folder``.
            copy: copy instead of linking.

        Raises:
            ValueError: if the link cannot be created.
        """
        if copy:
            for slice_ in slices:
                (self.path / name / slice_).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / slice_, self.path / name / slice_)
            return
        try:
            (self.path / name).symlink_to(folder.resolve(), target_is_directory=True)
        except OSError as error:
            raise ValueError(
                f'cannot create a link to {folder} in {self.path} ({error.strerror or error}): copy the slices with --copy'
            ) from error

    def refuse_inside(self, folder: Path) -> None:
        """Check that the output folder is not inside the slice folder, where the next run would read the result as slices.

        Raises:
            ValueError: if it is inside.
        """
        if self.out.resolve().is_relative_to(folder):
            raise ValueError(f'the output folder {self.out} is inside the slice folder {folder}: choose --out outside it')

    def warn_of_notes(self, notes_by_scan: Sequence[tuple[str, Sequence[str]]], unit: str) -> None:
        """Turn the readers' notes into warnings, one for all scans with the same note.

        Args:
            notes_by_scan: name and notes of each scan.
            unit: plural noun for the scans.
        """
        notes = SliceNotes()
        for name, lines in notes_by_scan:
            notes.add(name, lines)
        for line in notes.lines(len(notes_by_scan), unit):
            self.summary.warn(line.removeprefix(WARNING))

    def write_slice_lists(
        self,
        rows: Sequence[dict[str, Any]],
        strata: Mapping[str, str],
        classes: Sequence[str],
        source: str,
        found: str,
        **record: Any,
    ) -> ConversionSummary:
        """Split labelled slices, write their lists, and return the summary.

        Args:
            rows: entries of all lists; a patient, or a group if the patient is unknown, stays in one split.
            strata: class of each patient or group.
            classes: names of the classes.
            source: origin of the slices, recorded in the lists.
            found: origin of the slices in errors, such as '20 patients'.
            **record: see :meth:`_write`.

        Raises:
            ValueError: if there are no rows, or too few patients or groups for the splits.
        """
        if not rows:
            raise ValueError(f'no usable slices (of {found}): {"; ".join(self.summary.problems[:3])}')
        metainfo = dict(dataset=self.summary.dataset, slice_classes=list(classes), source=source)
        lists: dict[str, Any] = {}
        for name, members in each_split('slices', rows, lambda row: row['patient_id'] or row['group'], strata, self.splits):
            lists[name] = dict(metainfo=metainfo, data_list=members)
            self.summary.add_slices(name, members, classes)
        return self._write(lists, [row['img_path'] for row in lists['slices_train']['data_list']], record)

    def write_lesion_lists(
        self,
        slices: Sequence[AnnotatedSlice],
        num_small: Mapping[str, int],
        info: dict[str, Any],
        masks: PathLike,
        options: LesionOptions,
        **record: Any,
    ) -> ConversionSummary:
        """Split slices with masks, write their COCO JSON, and return the summary.

        Args:
            slices: the slices to keep; a patient, or a group if the patient is unknown, stays in one split.
            num_small: number of components too small to be lesions, by patient or group.
            info: description in the files.
            masks: folder of the masks, for errors.
            options: the converter's options, also recorded.
            **record: see :meth:`_write`.

        Raises:
            ValueError: if there are no slices, or too few patients or groups for the splits.
        """
        if not slices:
            raise ValueError(
                f'no usable slices: {"; ".join(self.summary.problems[:3])}'
                if self.summary.problems
                else f'the masks in {masks} contain no lesion larger than {options.min_area} pixels (lesion labels: '
                f'{options.lesion_labels or "all"}): reduce --min-area or check --lesion-labels'
            )
        lists: dict[str, Any] = {}
        units = {slice_.unit: '' for slice_ in slices}
        for name, members in each_split('lesions', slices, lambda slice_: slice_.unit, units, self.splits):
            lists[name] = coco_of(members, MERGED_CATEGORIES, {**info, 'min_area': options.min_area})
            small = sum(num_small.get(unit, 0) for unit in {member.unit for member in members})
            self.summary.add_lesions(name, lists[name], small)
        record = dict(options=asdict(options), **record)
        return self._write(lists, [image['file_name'] for image in lists['lesions_train']['images']], record)

    def _write(self, lists: Mapping[str, Any], train: Sequence[str], record: Mapping[str, Any]) -> ConversionSummary:
        """Write the lists, the grey-level statistics of the training slices, and :data:`RECORD`.

        Args:
            lists: contents by name without extension, training slices first.
            train: names of the training slices.
            record: the converter's ``options`` and further entries of the record.
        """
        summary = self.summary
        summary.statistics = dict(
            grey_level_statistics([self.path / name for name in train], self.workers, self.progress),
            source=f'{next(iter(lists))}.json',
        )
        files = {f'{name}.json': content for name, content in lists.items()} | {'statistics.json': summary.statistics}
        settings = dict(
            dataset=summary.dataset,
            splits=asdict(self.splits),
            **record,
            notes=summary.warnings,
            left_out=summary.problems,
        )
        folder = self.path / os.path.dirname(RECORD)
        write_jsons_atomic({folder / name: content for name, content in files.items()} | {self.path / RECORD: settings})
        summary.files = [self.out / os.path.dirname(RECORD) / name for name in files]
        return summary
