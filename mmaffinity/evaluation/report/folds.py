"""Cross-validation: pooling the folds of an experiment into one run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmaffinity.utils.wording import plural

_FOLD = re.compile(r'[ _-]?fold[ _-]?\d+', re.I)


class Entry(NamedTuple):
    """Results of a test run: its name, and the content and path of its results file."""

    name: str
    content: dict
    file: Path


def pool_folds(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Pool the folds of each experiment, in which every slice was tested once, by a model that had not seen its patient.

    Args:
        entries: results by run. Those with ``fold`` (index, number of folds, hash of the config without the fold) belong
            together if their hashes agree, and their names apart from the fold.

    Returns:
        The entries, with the folds of each experiment pooled into one, and notes.

    Raises:
        ValueError: if a fold is given twice.
    """
    kept: list[Entry] = []
    experiments: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        fold = entry.content.get('fold')
        if not fold or entry.content.get('split', 'test') != 'test':
            kept.append(entry)
            continue
        name = _FOLD.sub('', entry.name).strip('/') or Path(str(entry.content.get('config') or 'experiment')).stem
        experiments.setdefault((name, str(fold['config_sha256']), entry.file.name), []).append(entry)
    notes = []
    for (name, digest, _), members in experiments.items():
        members.sort(key=lambda entry: entry.content['fold']['index'])
        indices = [entry.content['fold']['index'] for entry in members]
        twice = [entry for entry, index in zip(members, indices) if indices.count(index) > 1]
        if twice:
            raise ValueError(
                f'{twice[0].file} and {twice[1].file} are both fold {twice[0].content["fold"]["index"]} of {name}'
                '; use only one of them, or rename one of their folders'
            )
        number = members[0].content['fold']['of']
        absent = sorted(set(range(number)) - set(indices))
        if absent:
            notes.append(
                f'{name}: results are missing for {plural(len(absent), "fold")} of {number} '
                f'({", ".join(map(str, absent))}), so the pooled results lack their patients.'
            )
        kept.append(Entry(f'{name} ({len(members)} of {number} folds)', _pooled(members, digest), members[0].file))
    return kept, notes


def _pooled(members: Sequence[Entry], digest: str) -> dict[str, Any]:
    contents = [entry.content for entry in members]
    checkpoints = '\n'.join(str(content.get('checkpoint_sha256') or content.get('checkpoint')) for content in contents)
    return {
        **contents[0],
        'slices': [record for content in contents for record in content['slices']],
        'lesions': [record for content in contents for record in content['lesions']],
        'metrics': {},  # COCO's AP of all folds together is unknown
        'config_sha256': digest,
        'checkpoint_sha256': hashlib.sha256(checkpoints.encode()).hexdigest(),
        'fold_metrics': {content['fold']['index']: content.get('metrics') or {} for content in contents},
        'parts': [str(entry.file) for entry in members],
    }
