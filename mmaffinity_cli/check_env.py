"""Report what is wrong with this installation and how to fix it.

Every package is imported in a separate process, so that a broken package that crashes the process is reported as well.
"""

import argparse
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata

# Import packages in order of dependency, and the distributions that provide them, ours first. Several distributions of one
# package overwrite each other's files.
PACKAGES = {
    'torch': ('torch',),
    'numpy': ('numpy',),
    'cv2': ('opencv-python-headless', 'opencv-python', 'opencv-contrib-python', 'opencv-contrib-python-headless'),
    'pycocotools': ('pycocotools',),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'onedl-mmcv-lite', 'mmcv-lite', 'mmcv-full'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmaffinity': ('mmaffinity', 'mmaffinity-runtime'),
}
SHARED = ('cv2',)  # several distributions of it do no harm
SAFE_TORCH = (2, 10)
TIMEOUT_S = 600
DEVICES = """
import os, torch
os.environ['MMAFFINITY_LAZY'] = '1'
from mmaffinity.utils.cores import available_cores
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(', '.join(gpus) or 'no GPU', 'and', available_cores(), 'CPU cores')
"""


def versions() -> dict[str, str]:
    """Return the version of each installed distribution of ``PACKAGES``, and of torchvision."""
    found = {}
    for name in ('torchvision', *(name for names in PACKAGES.values() for name in names)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def attempt(code: str) -> tuple[bool, str]:
    """Run code in a separate process; return whether it worked, and its last line or its error."""
    try:
        done = subprocess.run(
            [sys.executable, '-c', code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return False, f'no answer within {TIMEOUT_S} s'
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    ended = f'the process ended with code {done.returncode}'
    return done.returncode == 0, lines[-1].strip() if lines else '' if done.returncode == 0 else ended


def pip(*words: str) -> str:
    """Return a pip command for this environment, ready to paste."""
    return shlex.join([sys.executable, '-m', 'pip', *words])


def fix(package: str, error: str, found: dict[str, str]) -> str:
    """Return the command that most likely repairs a package whose import fails with an error."""
    if 'torchvision' in error and 'torchvision' in found and package != 'torch':
        return f'{pip("uninstall", "--yes", "torchvision")}  # built for another torch, and not needed here'
    if package == 'cv2' and '.so' in error:  # libGL of a desktop, which the headless build does not need
        return (
            f'{pip("uninstall", "--yes", "opencv-python")} && '
            f'{pip("install", "--force-reinstall", "--no-deps", PACKAGES["cv2"][0])}'
        )
    return pip('install', '--force-reinstall', '--no-deps', *[name for name in PACKAGES[package] if name in found][:1])


def find_clashes(found: dict[str, str]) -> list[tuple[str, str]]:
    """Return (problem, command) for each import package provided by several distributions."""
    problems = []
    for package, names in PACKAGES.items():
        there = [name for name in names if name in found]
        if len(there) > 1 and package not in SHARED:
            problems.append(
                (
                    f'{package} comes from {" and ".join(there)} at once, which overwrite each other; this keeps {there[0]}',
                    f'{pip("uninstall", "--yes", *there)} && {pip("install", there[0])}',
                )
            )
    return problems


def check(found: dict[str, str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Test the whole installation.

    Args:
        found: version of each installed distribution.

    Returns:
        The lines of the report, and pairs (problem, command that fixes it), causes first.
    """
    lines = [f'{"python":<12} {platform.python_version()}  {sys.executable}', f'{"platform":<12} {platform.platform()}']
    problems = find_clashes(found)
    problems += [
        (f'{package} is missing', pip('install', names[0]))
        for package, names in PACKAGES.items()
        if not any(name in found for name in names)
    ]
    works = True
    for package, names in PACKAGES.items():
        there = ', '.join(f'{name} {found[name]}' for name in names if name in found) or 'missing'
        if not works:  # each depends on those before it
            lines.append(f'{package:<12} {there}  not tried')
            continue
        works, error = attempt(f'import {package}')
        lines.append(f'{package:<12} {there}' + ('' if works else f'  does not load: {error}'))
        if not works and not problems:  # which would be the cause
            problems.append((f'{package} does not load: {error}', fix(package, error, found)))
    if works:
        lines.append(f'{"device":<12} {attempt(DEVICES)[1]}')
    return lines, problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return 1 if there are problems, otherwise 0."""
    parser = argparse.ArgumentParser(prog='mmaffinity check-env', description=__doc__)
    parser.add_argument('--quiet', action='store_true', help='print only problems')
    args = parser.parse_args(arguments)
    found = versions()
    lines, problems = check(found)
    if not args.quiet:
        print('\n'.join(lines))
    for text, command in problems:
        print(f'problem: {text}\n    {command}')
    torch = found.get('torch', '')
    if torch and tuple(int(part) for part in torch.split('.')[:2]) < SAFE_TORCH:
        print(
            f'warning: torch {torch} can be made to execute code by a crafted checkpoint (CVE-2026-24747), so .pth files are '
            f'refused, unless MMAFFINITY_TRUST_PTH=1 declares them your own\n    {pip("install", "--upgrade", "torch")}'
        )
    if not problems and not args.quiet:
        print('mmaffinity can be used')
    return int(bool(problems))
