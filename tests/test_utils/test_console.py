"""Progress lines on a terminal and elsewhere."""

import io

import pytest

from mmaffinity.utils.console import NamedProgress, ProgressLine, TimeLeft


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """A clock controlled by the test."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_time_left_is_of_the_steps_of_this_run():
    now = iter([0.0, 10.0, 30.0])
    left = TimeLeft(lambda: next(now))
    assert left(5, 25) is None and left(6, 25) == pytest.approx(190) and left(10, 25) == pytest.approx(90)


def test_a_file_gets_a_line_every_15_seconds():
    stream, clock = io.StringIO(), Clock()
    progress = ProgressLine('reading', 'files', stream, clock)
    for done in range(1, 41):
        clock.now += 1
        progress(done, 40, f'file {done}')
    lines = stream.getvalue().splitlines()
    assert [line.split(' of ')[0] for line in lines] == ['reading: 1', 'reading: 16', 'reading: 31', 'reading: 40']
    assert lines[1] == 'reading: 16 of 40 files, 0 min 24 s left, file 16'
    assert lines[-1] == 'reading: 40 of 40 files, file 40'


def test_terminal_line_is_updated_in_place():
    stream, clock = Terminal(), Clock()
    progress = ProgressLine('reading', 'files', stream, clock)
    for done in (1, 2, 3):
        clock.now += 60
        progress(done, 3, 'x' * 500)
    text = stream.getvalue()
    assert text.count('\n') == 1 and text.endswith('\n') and text.count('\r\033[K') == 3
    assert max(map(len, text.split('\r\033[K'))) <= 111


def test_calls_in_quick_succession_are_skipped():
    stream, clock = Terminal(), Clock()
    progress = ProgressLine('reading', 'files', stream, clock)
    for done in range(1, 1001):
        clock.now += 0.001
        progress(done, 1000)
    assert 8 <= stream.getvalue().count('\r') <= 13


def test_a_message_takes_the_place_of_the_line():
    stream, clock = Terminal(), Clock()
    progress = ProgressLine('reading', 'files', stream, clock)
    progress(1, 9)
    ProgressLine.clear_current()
    stream.write('a warning\n')
    progress(2, 9)  # at the same time: the cleared line is shown again
    progress.close()
    progress.close()
    assert stream.getvalue() == (
        '\r\033[Kreading: 1 of 9 files\r\033[Ka warning\n\r\033[Kreading: 2 of 9 files, 0 min 00 s left\n'
    )


def test_each_part_has_its_own_line(capsys):
    progress = NamedProgress()
    for part in ('masks', 'slices'):
        for done in (1, 2):
            progress(part, done, 2)
    assert capsys.readouterr().err.splitlines() == [
        'reading: 1 of 2 masks',
        'reading: 2 of 2 masks',
        'reading: 1 of 2 slices',
        'reading: 2 of 2 slices',
    ]
