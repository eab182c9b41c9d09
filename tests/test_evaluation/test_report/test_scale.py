"""A report on a test set of the paper's size stays within its bounds."""

import subprocess
import sys
from pathlib import Path

import pytest
from report_helpers import lesion_records, slice_records, write_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='only Linux reports the peak memory here'),
]

pytest.importorskip('sklearn', reason='scikit-learn is not installed: install the extra report')
# ru_maxrss would be the larger of this process's peak and that of the test that starts it.
MEASURED = """
import runpy, sys, time
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print('used', time.process_time(), peak)
"""


def test_a_full_test_set_takes_less_than_a_minute_and_two_gigabytes(repo_root, tmp_path):
    """21 000 slices of 293 patients, with validation, and 100 lesion slices; 1000 resamples.

    Seconds of processor time, not of the clock, so that other work on the machine does not count. What 100 objects in each
    of the lesion slices cost, they cost in the test run: its results have ten average precisions per slice.
    """
    run = write_results(tmp_path / 'run', slice_records(21000, 293), lesion_records(100))
    write_results(run, slice_records(21000, 280, seed=9, first=100000), name='results_val.json', split='val')
    command = [
        sys.executable,
        '-c',
        MEASURED,
        str(repo_root / 'tools/analysis_tools/report.py'),
        str(run),
        '--out',
        str(tmp_path / 'report'),
    ]
    done = subprocess.run(command, cwd=repo_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, kib = map(float, done.stdout.split('used ')[1].split())
    assert seconds < 60 and kib < 2e6
    text = (tmp_path / 'report' / 'report.md').read_text()
    assert '21000 slices' in text and '1000 bootstrap resamples of 293 patients' in text
