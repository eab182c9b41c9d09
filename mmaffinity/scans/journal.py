"""What is known of a scan's slices so far, one line each on disk, so that an interrupted run can go on."""
import json
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from .items import Problem
from .records import SliceRecord

JOURNAL = 'journal.jsonl'  # which every folder of results has


class OtherSettings(ValueError):
    """What is there was made with another model or other options, so that continuing it would mix the two."""


class Journal:
    """Results of one scan, appended slice by slice. Holds a key and a place in the file per slice, not the results.

    A key that comes again replaces what was there: a slice that had a problem may be predicted later.

    Args:
        path: of the file; one line of what the results depend on, then one line per slice.
        settings: what the results depend on: model and options.
        resume: keep what is there.

    Raises:
        OtherSettings: if what is there was made with other settings.
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
        self._file.truncate(end)  # half a line is what an interruption leaves
        self._file.seek(end)
        if not end:
            self._write(header)

    def _read(self, settings: dict) -> int:
        """Find the complete lines; return where they end."""
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
                        changed = sorted(name for name in settings
                                         if (content.get('settings') or {}).get(name) != settings[name])
                        raise OtherSettings(f'{self.path.parent} was made with other settings ({", ".join(changed)}): '
                                            'name another --out, or give the same settings to resume')
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
        """Append a slice's result or what kept it from having one."""
        content = {'problem': [result.source, result.reason]} if isinstance(result, Problem) else \
            {'slice': result.to_dict()}
        self._note(dict(content, key=key), self._write(json.dumps({'key': key, **content}, allow_nan=False)))

    def predicted(self) -> set[str]:
        """Keys of the slices that have a prediction; the others are worth another try."""
        return set(self.places) - self.problems

    def read(self, keys: Sequence[str], only: Container[str] | None = None) -> Iterator[SliceRecord | Problem]:
        """Read results back in the order of ``keys``, leaving out those without one, or not in ``only``; indices are
        numbered anew."""
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
