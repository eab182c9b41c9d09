#!/usr/bin/env python3
"""Create the virtual environment of this project: torch, mmcv with its compiled ops, everything else.

``make setup`` calls this file with the system's Python, so it may use the standard library only.
It can be interrupted at any moment and run again: its record in the environment says whether the last installation
came to its end. If not, the environment is made anew; if yes, and the digest of all that went into it is still the
same, there is nothing to do.
"""
from __future__ import annotations  # an older Python gets as far as the sentence about its version

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from build_mmcv import SetupError, cache_folder, check_compiler, check_space, get_mmcv, locked, run, say, whole_wheel

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ((3, 10), (3, 12))


def requirements() -> dict[str, str]:
    """Return the lines of requirements.txt by the package's name."""
    lines = (line.split('#')[0].strip() for line in (ROOT / 'requirements.txt').read_text().splitlines())
    return {re.split(r'[^\w.-]', line)[0]: line for line in lines if line}


def read_pin(name: str) -> str:
    """Return the version that requirements.txt pins for a package."""
    _, _, version = requirements().get(name, '').partition('==')
    if not version:
        raise SetupError(f'requirements.txt pins no version of {name}; restore the line "{name}==..."')
    return version


def check_python() -> None:
    """Stop with one sentence where this Python is unsuited."""
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        raise SetupError(f'Python {platform.python_version()} is not supported; name one of 3.10 to 3.12, for example '
                         'with: make setup PYTHON=python3.11')
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise SetupError('Python cannot make virtual environments; run: apt-get install '
                         f'python3.{sys.version_info[1]}-venv') from None


class Environment:
    """A virtual environment with a record of what was done to it.

    The record's stage is 'installing' (left so: unusable), 'installed' (whole, check not passed) or 'done'.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / 'bin' / 'python'
        self.record = folder / 'mmaffinity-setup.json'
        self.lock = folder / 'mmaffinity-setup.lock'

    def load(self) -> dict:
        try:
            return json.loads(self.record.read_text())
        except (OSError, ValueError):
            return {}

    def save(self, stage: str, wanted: str, options: dict) -> None:
        part = self.record.with_suffix('.part')
        part.write_text(json.dumps({'stage': stage, 'digest': wanted, 'python': sys.version, **options}, indent=1))
        os.replace(part, self.record)

    def reached(self, *stages: str, wanted: str) -> bool:
        """Return whether the environment is at one of the stages, made from what is wanted now."""
        state = self.load()
        return state.get('stage') in stages and state.get('digest') == wanted and self.python.exists()

    def check_ours(self) -> None:
        """Refuse to touch a folder that this file did not make."""
        if self.folder.exists() and any(self.folder.iterdir()) and not any(self.folder.glob('mmaffinity-setup.*')):
            raise SetupError(f'{self.folder} exists and was not made by this command; move it away, or name another '
                             'folder: make setup VENV=.venv-mmaffinity')

    def clear(self) -> None:
        """Empty the folder unless it holds a whole environment of this Python."""
        state = self.load()
        if state.get('stage') in ('installed', 'done') and state['python'] == sys.version and self.python.exists():
            return
        # Record and lock stay, so that a removal which is itself interrupted is still recognised as ours.
        left = [path for path in self.folder.iterdir() if not path.name.startswith('mmaffinity-setup.')]
        if left:
            say(f'{self.folder} is unfinished or of another Python: making it anew')
        for path in left:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        check_space(self.folder, 3, 'the environment', 'name a folder on a larger disk: make setup VENV=/path')

    def works(self, code: str) -> bool:
        return subprocess.run([str(self.python), '-c', code], capture_output=True).returncode == 0

    def output(self, code: str) -> str:
        return subprocess.check_output([str(self.python), '-c', code], text=True).strip()


def choose_options(args: argparse.Namespace, env: Environment) -> dict:
    """Join what is asked for now with what this environment was made with.

    So a plain ``make test`` after ``make setup MMCV_WHEEL=...`` keeps that mmcv.
    """
    state = env.load()
    wheel = args.mmcv_wheel
    if wheel and '://' not in wheel:
        wheel = str(Path(wheel).expanduser().absolute())
        if not (wheel.endswith('.whl') and whole_wheel(Path(wheel))):
            raise SetupError(f'MMCV_WHEEL={wheel} is not a whole wheel file (.whl); check the path')
    return {
        'extras': sorted({*re.findall(r'[\w-]+', args.extras), *state.get('extras', [])}),
        'mmcv_wheel': wheel or state.get('mmcv_wheel', ''),
        'force_cuda': os.environ.get('FORCE_CUDA') == '1' or state.get('force_cuda', False),
    }


def digest(options: dict) -> str:
    """Identify what the environment is made from; the same digest means there is nothing to do."""
    state = hashlib.sha256()
    for name in ('requirements.txt', 'pyproject.toml', 'tools/setup_env.py'):
        state.update((ROOT / name).read_bytes())
    state.update(json.dumps([sys.version, str(ROOT), options], sort_keys=True).encode())
    return state.hexdigest()


def mend_opencv(env: Environment, pip: tuple) -> None:
    """Take OpenCV's headless build where the other one does not load.

    opencv-python needs libGL, which a server or container lacks; the headless build is the same library without its
    windows, which nothing here opens. imaug asks for both, so pip installs both, into the same folder.
    """
    if env.works('import cv2'):
        return
    say('OpenCV does not load (no libGL on this machine): taking its headless build')
    version = env.output('from importlib.metadata import version; print(version("opencv-python-headless"))')
    run(env.python, '-m', 'pip', 'uninstall', '--quiet', '--yes', 'opencv-python')
    run(*pip, '--force-reinstall', '--no-deps', f'opencv-python-headless=={version}')


def install(env: Environment, options: dict) -> None:
    """Bring the environment to what requirements.txt and the options say."""
    packages = requirements()
    torch, mmcv = read_pin('torch'), read_pin('onedl-mmcv')
    del packages['onedl-mmcv']  # pip would compile it a second time, and slowly
    if not options['mmcv_wheel'] and not any((cache_folder() / 'wheels').glob(f'mmcv{mmcv}-torch{torch}*/*.whl')):
        check_compiler()  # said now rather than after the download of torch
    if options['force_cuda']:
        os.environ['FORCE_CUDA'] = '1'
    if not env.python.exists():
        say(f'making {env.folder} with Python {platform.python_version()}')
        run(sys.executable, '-m', 'venv', env.folder)
    quiet = [] if sys.stdout.isatty() else ['--quiet']
    pip = (env.python, '-m', 'pip', 'install', '--disable-pip-version-check', *quiet)
    say(f'torch {torch} and the other packages, some minutes')
    run(*pip, 'pip>=23.1', 'setuptools>=80', 'packaging>=24.2', 'wheel', 'ninja', *packages.values())
    wheel = options['mmcv_wheel'] or get_mmcv(env.python, mmcv)
    # No dependencies: the packages above are all that mmcv needs, and OpenMMLab's wheel would ask for its own mmengine
    # beside ours. Removed first, as pip takes a wheel of equal version for installed even if built for another torch.
    run(env.python, '-m', 'pip', 'uninstall', '-qq', '--yes', 'mmcv', 'onedl-mmcv', 'mmcv-lite')
    run(*pip, '--no-deps', wheel)
    mend_opencv(env, pip)
    say('mmaffinity itself')
    extras = f'[{",".join(options["extras"])}]' if options['extras'] else ''
    run(*pip, '--no-build-isolation', '--editable', f'{ROOT}{extras}')


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='folder of the environment')
    parser.add_argument('--extras', default='', help="extras of pyproject.toml, for example 'test,dev'")
    parser.add_argument('--mmcv-wheel', default='', help='path or URL of a compiled mmcv, instead of compiling it')
    args = parser.parse_args(arguments)
    env = Environment(args.venv.absolute())
    try:
        check_python()
        env.check_ours()
        options = choose_options(args, env)
        wanted = digest(options)
        if not env.reached('done', wanted=wanted):
            with locked(env.lock, str(env.folder)):
                if not env.reached('installed', 'done', wanted=wanted):
                    env.clear()
                    env.save('installing', wanted, options)
                    install(env, options)
                    env.save('installed', wanted, options)
                run(env.python, '-m', 'mmaffinity.check_env', '--quiet')
                env.save('done', wanted, options)
        say(f'{env.folder} is ready')
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        print(f'setup: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('setup: interrupted; the same command goes on from here', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
