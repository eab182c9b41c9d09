"""The result of a conversion: counts per split, class and patient, as data and as a table."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from mmaffinity.utils.tables import format_table
from mmaffinity.utils.wording import first_few, plural

logger = logging.getLogger(__name__)


@dataclass
class ConversionSummary:
    """Counts and results of a conversion.

    Attributes:
        dataset: name of the data set.
        slices: one dictionary per slice list and class, and one with class 'all' per list: ``split``, ``class``,
            ``slices``, ``patients``, ``scans``, ``slices_per_patient`` (minimum, median, maximum). The last three are
            None if patients are unknown.
        sources: one dictionary per slice list and source, if the list has sources: ``split``, ``source`` (None if unknown),
            ``slices``, ``patients`` (None if unknown).
        lesions: one dictionary per lesion file: ``split``, ``slices``, ``patients`` (None if unknown), ``with_lesions``
            (slices), ``lesions`` (by category), ``too_small`` (components).
        statistics: content of statistics.json; None if skipped.
        warnings: warnings for the user; also logged.
        files: paths of the files written.
        problems: inputs that were left out, with reasons; also logged.
    """

    dataset: str
    slices: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    lesions: list[dict[str, Any]] = field(default_factory=list)
    statistics: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
        logger.warning('warning: %s', sentence)

    def add_problems(self, sentences: Iterable[str]) -> None:
        """Record inputs that are left out."""
        for sentence in sentences:
            self.problems.append(sentence)
            logger.warning('left out: %s', sentence)

    def add_slices(self, split: str, data_list: Sequence[dict[str, Any]], class_names: Sequence[str]) -> None:
        """Count a slice list's ``data_list`` by class and patient."""
        for label, class_name in enumerate(class_names):
            self._count_slices(split, class_name, [row for row in data_list if row['label'] == label])
        self._count_slices(split, 'all', data_list)

    def add_sources(self, split: str, data_list: Sequence[dict[str, Any]]) -> None:
        """Count a slice list's ``data_list`` by source."""
        for source in sorted({row['source'] for row in data_list}, key=str):
            rows = [row for row in data_list if row['source'] == source]
            patients = {row['patient_id'] for row in rows}
            self.sources.append(
                dict(split=split, source=source, slices=len(rows), patients=None if None in patients else len(patients))
            )

    def add_lesions(self, split: str, coco: dict[str, Any], num_small: int) -> None:
        """Count a COCO dictionary's slices and instances."""
        names = {category['id']: category['name'] for category in coco['categories']}
        lesions = dict.fromkeys(names.values(), 0)
        patients = {image['patient_id'] for image in coco['images']}
        for annotation in coco['annotations']:
            lesions[names[annotation['category_id']]] += 1
        self.lesions.append(
            dict(
                split=split,
                slices=len(coco['images']),
                patients=None if None in patients else len(patients),
                with_lesions=len({annotation['image_id'] for annotation in coco['annotations']}),
                lesions=lesions,
                too_small=num_small,
            )
        )

    def check_patients(self, split: str, patients: Iterable[str], other: str, others: Iterable[str]) -> None:
        """Warn if two splits share patients."""
        shared = sorted(set(patients) & set(others))
        if shared:
            self.warn(
                f'{plural(len(shared), "patient", "is")} in both {split} and {other} ({first_few(shared)}): results on {other} '
                'do not measure the model on unseen patients'
            )

    def table(self) -> str:
        """Return the counts, the statistics and the names of the files as text."""
        lesions = [
            {
                **{key: row[key] for key in ('split', 'slices', 'patients', 'with_lesions')},
                **{f'{name} instances': number for name, number in row['lesions'].items()},
                'too_small': row['too_small'],
            }
            for row in self.lesions
        ]
        parts = [
            format_table([key.replace('_', ' ') for key in rows[0]], [[_cell(value) for value in row.values()] for row in rows])
            for rows in (self.slices, self.sources, lesions)
            if rows
        ]
        if self.statistics is not None:
            parts.append(
                f'grey levels of {plural(self.statistics["num_slices"], "slice")} ({self.statistics["source"]}): mean '
                f'{self.statistics["mean"]:.6f}, standard deviation {self.statistics["std"]:.6f}'
            )
        if self.files:
            folder = self.files[0].parent
            parts.append(f'written to {folder}: ' + ', '.join(file.relative_to(folder).as_posix() for file in self.files))
        return '\n\n'.join(parts)

    def _count_slices(self, split: str, class_name: str, rows: Sequence[dict[str, Any]]) -> None:
        known = all(row['patient_id'] is not None for row in rows)
        counts = Counter(row['patient_id'] for row in rows).values()
        spread = (min(counts), median(counts), max(counts)) if known and counts else None
        self.slices.append(
            {
                'split': split,
                'class': class_name,
                'slices': len(rows),
                'patients': len(counts) if known else None,
                'scans': len({(row['patient_id'], row['scan_id']) for row in rows}) if known else None,
                'slices_per_patient': spread,
            }
        )


def _cell(value: Any) -> str:
    if value is None:
        return 'unknown'
    return f'{value[0]} to {value[2]}, median {value[1]:g}' if isinstance(value, tuple) else str(value)
