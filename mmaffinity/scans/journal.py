"""A journal of a scan's slices, one line each on disk, so that interrupted runs can resume."""

import json
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from .items import Problem
from .records import SliceRecord

JOURNAL = 'journal.jsonl'  # present in every result folder


class OtherSettings(ValueError):
    """Existing results have another model or other options, so continuing would mix the two."""


class Journal:
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
        self.path = path
        self.places: dict[str, int] = {}
        self.problems: set[str] = set()
        header = json.dumps({'settings': settings}, sort_keys=True)
        end = 0
        if resume and path.exists():
            end = self._read(json.loads(header)['settings'])
        mode = 'r+b' if end else 'wb'
        self._file = open(path, mode)
        self._file.truncate(end)  # an interruption may leave a partial line
        self._file.seek(end)
        if not end:
            self._write(header)

    def _read(self, settings: dict) -> int:
        """Find the complete lines; return their end."""
        end = 0
        with open(self.path, 'rb') as file:
            for line in file:
                try:
                    content = json.loads(line) if line.endswith(b'\n') else None
                except ValueError:
                    content = None
                if not isinstance(content, dict) or (end and not isinstance(content.get('key'), str)):
                    break
                if end == 0:
                    if content.get('settings') != settings:
                        changed = sorted(
                            name for name in settings if (content.get('settings') or {}).get(name) != settings[name]
                        )
                        raise OtherSettings(
                            f'{self.path.parent} was made with other settings ({", ".join(changed)}): '
                            'name another --out, or give the same settings to resume'
                        )
                else:
                    self._note(content, end)
                end += len(line)
        return end

    def _note(self, content: dict, place: int) -> None:
        self.places[content['key']] = place
        if 'problem' in content:
            self.problems.add(content['key'])
        else:
            self.problems.discard(content['key'])

    def _write(self, line: str) -> int:
        place = self._file.tell()
        self._file.write(line.encode('ascii') + b'\n')
        self._file.flush()
        return place

    def add(self, key: str, result: SliceRecord | Problem) -> None:
        """Append a slice's result or problem."""
        content = {'problem': [result.source, result.reason]} if isinstance(result, Problem) else {'slice': result.to_dict()}
        self._note(dict(content, key=key), self._write(json.dumps({'key': key, **content}, allow_nan=False)))

    def predicted(self) -> set[str]:
        """Keys of the predicted slices; the others are tried again."""
        return set(self.places) - self.problems

    def read(self, keys: Sequence[str], only: Container[str] | None = None) -> Iterator[SliceRecord | Problem]:
        """Read results in the order of ``keys``, except keys without one or not in ``only``; indices are renumbered."""
        with open(self.path, 'rb') as file:
            for index, key in enumerate(keys):
                if key not in self.places or (only is not None and key not in only):
                    continue
                file.seek(self.places[key])
                content = json.loads(file.readline())
                if 'problem' in content:
                    source, reason = content['problem']
                    yield Problem(source, reason, key)
                else:
                    yield SliceRecord.from_dict({**content['slice'], 'index': index})

    def close(self) -> None:
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> 'Journal':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
