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
torch.zeros(5_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.zeros(5_000_000), torch.zeros(4_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='mallopt is a function of glibc')
def test_freed_memory_is_used_again():
    """A page fault is a page that the system hands out."""

    def faults(mode):
        code = ['-c', FAULTS, mode]
        return int(subprocess.run([sys.executable, *code], capture_output=True, text=True, check=True).stdout)

    assert faults('keep') < 0.5 * faults('return')


def test_memory_of_a_process():
    now, peak = process_memory('VmRSS'), process_memory('VmHWM')
    if now is None:
        pytest.skip('this system does not report memory')
    assert 1 < now <= peak
    assert process_memory('VmRSS', 2**30) is None
