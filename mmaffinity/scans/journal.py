"""A journal of a scan's slices, one line each on disk, so that interrupted runs can resume."""

import json
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from mmaffinity.utils.files import num_bytes
from mmaffinity.utils.json_lines import JsonLines

from .items import Problem
from .records import SliceRecord

JOURNAL = 'journal.jsonl'  # present in every result folder


class OtherSettings(ValueError):
    """Existing results have another model or other options, so continuing would mix the two."""


class Journal(JsonLines):
    """Results of one scan, appended slice by slice. Memory holds a key and a file position per slice, not the results.

    A repeated key replaces the earlier entry: a slice with a problem may be predicted later.

    Args:
        path: path of the file; one line with the settings, then one line per slice.
        settings: what the results depend on: model and options.
        resume: keep existing results.

    Raises:
        OtherSettings: if existing results have other settings.
    """

    def __init__(self, path: Path, settings: dict, resume: bool = False) -> None:
        super().__init__(path)
        self.places: dict[str, int] = {}
        self.problems: set[str] = set()
        settings = json.loads(json.dumps(settings, sort_keys=True))
        if resume:
            self._read(settings)
        else:
            self.truncate(0)
        if not num_bytes(path):
            self.append({'settings': settings})

    def _read(self, settings: dict) -> None:
        """Find the results; remove the first damaged line and all after it."""
        for place, content in self.lines():
            if not isinstance(content, dict) or (place and not isinstance(content.get('key'), str)):
                self.truncate(place)
                return
            if place:
                self._note(content, place)
            elif content.get('settings') != settings:
                before = content.get('settings') or {}
                changed = sorted(name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name))
                raise OtherSettings(
                    f'{self.path.parent} was made with other settings ({", ".join(changed)}): '
                    'name another --out, or give the same settings to resume'
                )

    def _note(self, content: dict, place: int) -> None:
        self.places[content['key']] = place
        if 'problem' in content:
            self.problems.add(content['key'])
        else:
            self.problems.discard(content['key'])

    def add(self, key: str, result: SliceRecord | Problem) -> None:
        """Append a slice's result or problem."""
        content = {'problem': [result.source, result.reason]} if isinstance(result, Problem) else {'slice': result.to_dict()}
        content = {'key': key, **content}
        self._note(content, self.append(content))

    def predicted(self) -> set[str]:
        """Keys of the predicted slices; the others are tried again."""
        return set(self.places) - self.problems

    def read(self, keys: Sequence[str], only: Container[str] | None = None) -> Iterator[SliceRecord | Problem]:
        """Read results in the order of ``keys``, except keys without one or not in ``only``; indices are renumbered."""
        wanted = [(index, key) for index, key in enumerate(keys) if key in self.places and (only is None or key in only)]
        for content, (index, key) in zip(self.at(self.places[key] for _, key in wanted), wanted):
            if 'problem' in content:
                source, reason = content['problem']
                yield Problem(source, reason, key)
            else:
                yield SliceRecord.from_dict({**content['slice'], 'index': index})
