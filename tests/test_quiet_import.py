import subprocess
import sys


def test_importing_the_package_says_nothing(repo_root):
    """MMDetection's notes on packages that are not needed would be the first lines that a user reads."""
    code = 'import mmaffinity, mmdet.evaluation'
    result = subprocess.run([sys.executable, '-c', code], cwd=repo_root, capture_output=True, text=True, check=True)
    assert result.stdout + result.stderr == ''
