"""Messages for disk, folder and loader-worker failures."""

import errno
import os

import pytest
from torch.utils.data import DataLoader

from mmaffinity.engine.failures import check_writable, plain_failures


def test_a_writable_folder_is_created_and_stays_empty(tmp_path):
    check_writable(tmp_path / 'a' / 'b')
    check_writable(tmp_path / 'a' / 'b')
    assert os.listdir(tmp_path / 'a' / 'b') == []


def test_a_file_in_place_of_the_folder_is_not_writable(tmp_path):
    (tmp_path / 'work').write_text('kept')
    for folder in (tmp_path / 'work', tmp_path / 'work' / 'below'):
        with pytest.raises(ValueError, match=r'directory .*work.* is not writable \(.*\): choose another with --work-dir'):
            check_writable(folder)
    assert (tmp_path / 'work').read_text() == 'kept'


@pytest.mark.parametrize(
    'error, message',
    [
        (OSError(errno.ENOSPC, 'No space', '/w/a.pth'), 'the run stopped at /w/a.pth: no space left on the disk; free some'),
        (OSError(errno.EDQUOT, 'Quota exceeded'), 'the run stopped: no space left on the disk; free some'),
        (OSError(errno.EROFS, 'Read-only', '/w/log'), 'the run stopped at /w/log: Read-only; free some'),
    ],
)
def test_disk_failures_name_file_reason_and_remedy(error, message):
    with pytest.raises(ValueError) as found, plain_failures('free some'):
        raise error
    assert str(found.value) == message and found.value.__cause__ is error


@pytest.mark.parametrize('error', [FileNotFoundError(errno.ENOENT, 'No such file', 'a.png'), ValueError('bad'), KeyError('k')])
def test_other_failures_are_unchanged(error):
    with pytest.raises(type(error)) as found, plain_failures('free some'):
        raise error
    assert found.value is error


class Damaged:
    """A data set whose second slice is damaged."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 1:
            raise self.error
        return index


@pytest.mark.parametrize(
    'error', [ValueError('b.png: is truncated;\nremove it'), FileNotFoundError('b.png does not exist')], ids=['value', 'file']
)
def test_failure_of_a_loader_worker_has_its_own_message_only(error):
    with pytest.raises(type(error)) as found, plain_failures('free some'):
        list(DataLoader(Damaged(error), num_workers=1))
    assert str(found.value) == str(error) and 'DataLoader worker' in str(found.value.__cause__)
