"""The progress line of commands."""

import sys
import time
from collections.abc import Callable
from typing import ClassVar, TextIO

PLAIN_INTERVAL = 15.0  # seconds between lines if lines cannot be replaced
LIVE_INTERVAL = 0.1
WIDTH = 110  # longest replaceable line; a longer one would wrap and stay on screen


class TimeLeft:
    """Estimate the remaining time of a job from the steps of this run.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> float | None:
        """Return the seconds left, None for the first step.

        The first step is excluded, because it includes warm-up and may follow steps of an earlier run.
        """
        now = self._clock()
        if self._start is None:
            self._start = now, done
            return None
        start, first = self._start
        return (now - start) / (done - first) * (total - done) if done > first else None


class ProgressLine:
    """A progress line, updated in place on a terminal; elsewhere, a new line every 15 seconds.

        progress = ProgressLine('reading', 'files')
        progress(3, 200, 'IMG_0003.dcm')   # reading: 3 of 200 files, 0 min 12 s left, IMG_0003.dcm

    Args:
        what: the job.
        unit: the counted unit.
        stream: output stream; standard error by default, so that results can be piped.
        clock: returns the time in seconds.
    """

    _current: ClassVar['ProgressLine | None'] = None

    def __init__(self, what: str, unit: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.unit = what, unit
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock = clock
        self._time_left = TimeLeft(clock)
        self._shown: float | None = None
        self._open = False

    def due(self, last: bool = False) -> bool:
        """Return whether the next call will show the line; the ``last`` call always does."""
        interval = LIVE_INTERVAL if self._live else PLAIN_INTERVAL
        return last or self._shown is None or self._clock() - self._shown >= interval

    def __call__(self, done: int, total: int, detail: str = '') -> None:
        """Show that ``done`` of ``total`` steps are complete; the first and last calls always show the line."""
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
        """End the line, so that the next output starts on a new one."""
        if self._open:
            self._stream.write('\n')
            self._stream.flush()
            self._open = False

    @classmethod
    def clear_current(cls) -> None:
        """Clear the line on a terminal to make room for a message; the next call shows it again."""
        line = cls._current
        if line is not None and line._open:
            line._stream.write('\r\033[K')
            line._stream.flush()
            line._open, line._shown = False, None


class NamedProgress:
    """Progress of a job with several parts, each with its own :class:`ProgressLine`."""

    def __init__(self) -> None:
        self._line: ProgressLine | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps of part ``what`` are complete."""
        if self._line is None or self._line.unit != what:
            self._line = ProgressLine('reading', what)
        self._line(done, total)
