import os
import subprocess
import sys

import pytest

from mmaffinity.utils.memory import process_memory

FAULTS = """
import resource, sys
import torch
from mmaffinity.utils.memory import keep_freed_memory
if sys.argv[1] == 'keep':
    assert keep_freed_memory()
# Blocks above 32 MiB, which glibc would always return.
torch.zeros(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(60):
    torch.zeros(10_000_000), torch.zeros(9_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='mallopt is a function of glibc')
def test_freed_memory_is_used_again():
    """A page fault is a page that the system hands out."""

    def faults(mode):
        done = subprocess.run(
            [sys.executable, '-c', FAULTS, mode],
            env={**os.environ, 'MMAFFINITY_LAZY': '1'},
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    assert faults('keep') < 0.2 * faults('return')


def test_memory_of_a_process():
    now, peak = process_memory('VmRSS'), process_memory('VmHWM')
    if now is None:
        pytest.skip('this system does not report memory')
    assert 1 < now <= peak
    assert process_memory('VmRSS', 2**30) is None
