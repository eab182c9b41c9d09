"""What a conversion did: counts per split, class and patient, as data and as a table."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from mmaffinity.utils.wording import plural

logger = logging.getLogger(__name__)


@dataclass
class ConversionSummary:
    """Counts and results of one conversion.

    Attributes:
        dataset: Its name.
        slices: One dictionary per slice list and class, and one with class 'all' per list: ``split``, ``class``,
            ``slices``, ``patients``, ``scans``, ``slices_per_patient`` (fewest, median, most). The last three are
            None where the lists do not tell patients.
        sources: One dictionary per slice list and source of its slices, where the list has sources: ``split``, ``source``
            (None where unknown), ``slices``, ``patients``.
        lesions: One dictionary per lesion file: ``split``, ``slices``, ``patients`` (None where unknown), ``with_lesions``
            (slices), ``lesions`` (by category), ``too_small`` (components).
        statistics: As in statistics.json; None where skipped.
        warnings: Sentences on what a user should know; also logged.
        files: What was written.
        problems: Inputs that were left out, each with the reason; also logged.
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
        """Note inputs that are left out."""
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
        """Warn where a training split shares patients with another that is to measure the model."""
        shared = sorted(set(patients) & set(others))
        if shared:
            first = ', '.join(shared[:3]) + (', ...' if len(shared) > 3 else '')
            self.warn(
                f'{plural(len(shared), "patient", "is")} in both {split} and {other} ({first}): results on {other} '
                'do not measure the model on unseen patients'
            )

    def table(self) -> str:
        """Return the counts as text, ending with the statistics and the files' names."""
        parts = []
        if self.slices:
            rows: list[tuple[Any, ...]] = [('split', 'class', 'slices', 'patients', 'scans', 'slices per patient')]
            for row in self.slices:
                spread = row['slices_per_patient']
                if spread is None:
                    spread = 'unknown'
                else:
                    spread = f'{spread[0]} to {spread[2]}, median {spread[1]:g}'
                rows.append(
                    (row['split'], row['class'], row['slices'], _or_unknown(row['patients']), _or_unknown(row['scans']), spread)
                )
            parts.append(_align(rows))
        if self.sources:
            parts.append(
                _align(
                    [
                        ('split', 'source', 'slices', 'patients'),
                        *(
                            (row['split'], row['source'] or 'unknown', row['slices'], _or_unknown(row['patients']))
                            for row in self.sources
                        ),
                    ]
                )
            )
        if self.lesions:
            names = list(self.lesions[0]['lesions'])
            rows = [('split', 'slices', 'patients', 'with lesions', *(f'{name} instances' for name in names), 'too small')]
            rows += [
                (
                    row['split'],
                    row['slices'],
                    _or_unknown(row['patients']),
                    row['with_lesions'],
                    *row['lesions'].values(),
                    row['too_small'],
                )
                for row in self.lesions
            ]
            parts.append(_align(rows))
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
        counts: dict[str, int] = {}
        scans = set()
        known = all(row['patient_id'] is not None for row in rows)
        for row in rows:
            counts[row['patient_id']] = counts.get(row['patient_id'], 0) + 1
            scans.add((row['patient_id'], row['scan_id']))
        spread: tuple[int, float, int] | None = None
        if known and counts:
            spread = min(counts.values()), median(counts.values()), max(counts.values())
        self.slices.append(
            {
                'split': split,
                'class': class_name,
                'slices': len(rows),
                'patients': len(counts) if known else None,
                'scans': len(scans) if known else None,
                'slices_per_patient': spread,
            }
        )


def _or_unknown(value: int | None) -> Any:
    return 'unknown' if value is None else value


def _align(rows: Sequence[Sequence[Any]]) -> str:
    """Lay out rows of cells in columns, numbers to the right; the first row is the header."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    numeric = [all(isinstance(cell, int) for cell in column[1:]) for column in zip(*rows, strict=True)]
    lines = []
    for row in texts:
        cells = (
            cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        lines.append('  '.join(cells).rstrip())
    lines.insert(1, '  '.join('-' * width for width in widths))
    return '\n'.join(lines)
