"""What commands show while they work: one line of progress."""
import sys
import time
from collections.abc import Callable
from typing import ClassVar, TextIO

PLAIN_INTERVAL = 15.0  # seconds between two lines where lines cannot be replaced
LIVE_INTERVAL = 0.1
WIDTH = 110  # characters of a line that is replaced; a longer one would wrap and stay


class TimeLeft:
    """Estimates how long a job still takes, from the steps that this run made itself.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> float | None:
        """Return the seconds left, None at the first step.

        The first step is not counted, as it pays for warming up and may follow steps of an earlier run.
        """
        now = self._clock()
        if self._start is None:
            self._start = now, done
            return None
        start, first = self._start
        return (now - start) / (done - first) * (total - done) if done > first else None


class ProgressLine:
    """One line of progress, replaced in place on a terminal; elsewhere a plain line every 15 seconds.

        progress = ProgressLine('reading', 'files')
        progress(3, 200, 'IMG_0003.dcm')   # reading: 3 of 200 files, 0 min 12 s left, IMG_0003.dcm

    Args:
        what: the job.
        unit: what is counted.
        stream: where the line goes; standard error by default, so that results can be piped.
        clock: gives seconds.
    """

    _current: ClassVar['ProgressLine | None'] = None

    def __init__(self, what: str, unit: str, stream: TextIO | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.unit = what, unit
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock = clock
        self._time_left = TimeLeft(clock)
        self._shown: float | None = None
        self._open = False

    def due(self, last: bool = False) -> bool:
        """Return whether the next call will show; the ``last`` one always does."""
        interval = LIVE_INTERVAL if self._live else PLAIN_INTERVAL
        return last or self._shown is None or self._clock() - self._shown >= interval

    def __call__(self, done: int, total: int, detail: str = '') -> None:
        """Show that ``done`` of ``total`` steps are made; the first and the last call always show."""
        left = self._time_left(done, total)
        if not self.due(done >= total):
            return
        self._shown = self._clock()
        rest = '' if left is None or done >= total else f', {left // 60:.0f} min {left % 60:02.0f} s left'
        unit = self.unit if total != 1 else self.unit.removesuffix('es' if self.unit.endswith('ches') else 's')
        text = f'{self.what}: {done} of {total} {unit}{rest}' + (f', {detail}' if detail else '')
        self._stream.write(f'\r\033[K{text[:WIDTH]}' if self._live else f'{text}\n')
        self._stream.flush()
        self._open = self._live
        ProgressLine._current = self
        if done >= total:
            self.close()

    def close(self) -> None:
        """End the line, so that what is printed next starts on its own."""
        if self._open:
            self._stream.write('\n')
            self._stream.flush()
            self._open = False

    @classmethod
    def clear_current(cls) -> None:
        """Take away the line that a terminal shows, so that a message can take its place; the next call shows it again."""
        line = cls._current
        if line is not None and line._open:
            line._stream.write('\r\033[K')
            line._stream.flush()
            line._open, line._shown = False, None


class NamedProgress:
    """Progress of a job in several parts, each with a :class:`ProgressLine` of its own."""

    def __init__(self) -> None:
        self._line: ProgressLine | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps of part ``what`` are made."""
        if self._line is None or self._line.unit != what:
            self._line = ProgressLine('reading', what)
        self._line(done, total)
