"""The checkpoint from which a run resumes, among complete, truncated, corrupt and other files."""

import os

import pytest
import torch

from mmaffinity.engine import newest_whole_checkpoint


def write(path, step=0, **extra):
    torch.save(
        {**dict(meta=dict(epoch=step), state_dict=dict(w=torch.arange(4000.0) + step), optimizer={}, message_hub={}), **extra},
        path,
    )
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    """Flip one bit of a weight, without changing the length or the table of contents."""
    content = bytearray(path.read_bytes())
    place = bytes(content).index(torch.arange(2000.0, 2010.0).numpy().tobytes())
    content[place + 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def three(tmp_path):
    for step in (9, 10, 2):  # neither the order of writing nor alphabetical order matters
        write(tmp_path / f'epoch_{step}.pth')
    return tmp_path


def test_newest_complete_checkpoint_is_found(three):
    assert newest_whole_checkpoint([three]) == (three / 'epoch_10.pth', [])
    assert newest_whole_checkpoint([three / 'nowhere']) == (None, [])


@pytest.mark.parametrize(
    'spoil, word',
    [
        (cut, 'truncated or damaged'),
        (flip, 'checksum'),
        (lambda path: path.write_bytes(b''), 'truncated or damaged'),
        (lambda path: torch.save(dict(state_dict={}), path), 'no meta and no optimizer'),
    ],
)
def test_incomplete_newest_checkpoint_is_skipped(spoil, word, three):
    (three / 'last_checkpoint').write_text(str(three / 'epoch_10.pth'))
    spoil(three / 'epoch_10.pth')
    found, problems = newest_whole_checkpoint([three])
    assert found == three / 'epoch_9.pth'
    assert len(problems) == 1 and 'epoch_10.pth' in problems[0] and word in problems[0]


@pytest.mark.parametrize('pointer', ['', 'epo', '/elsewhere/epoch_99.pth'])
def test_last_checkpoint_file_is_ignored(pointer, three):
    (three / 'last_checkpoint').write_text(pointer)
    assert newest_whole_checkpoint([three])[0] == three / 'epoch_10.pth'


def test_leftovers_are_ignored(three):
    for name in ('epoch_11.pth.part', 'best_f1_epoch_12.pth', 'epoch_13.pt'):
        (three / name).write_bytes((three / 'epoch_2.pth').read_bytes())
    (three / 'epoch_14.pth').mkdir()
    assert newest_whole_checkpoint([three])[0] == three / 'epoch_10.pth'


def test_epochs_and_iterations_by_time(three):
    write(three / 'iter_500.pth')
    for path, time in (
        (three / 'epoch_10.pth', 100),
        (three / 'iter_500.pth', 200),
        (three / 'epoch_9.pth', 50),
        (three / 'epoch_2.pth', 10),
    ):
        os.utime(path, (time, time))
    assert newest_whole_checkpoint([three])[0] == three / 'iter_500.pth'


def test_no_complete_checkpoint(tmp_path):
    cut(write(tmp_path / 'epoch_1.pth'))
    found, problems = newest_whole_checkpoint([tmp_path])
    assert found is None and len(problems) == 1
