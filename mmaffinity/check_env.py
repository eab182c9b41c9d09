"""Say whether this installation works and, for anything wrong, the command that mends it.

    python -m mmaffinity.check_env [--quiet]

Imports nothing outside the standard library: the packages are tried out in a process of their own, so that a broken
one (a compiled extension that ends the process, say) ends up as a sentence too. ``mmaffinity/__init__.py`` leaves the
registration of the modules out when Python starts this file.
"""
import argparse
import inspect
import json
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from mmaffinity import __version__

# As pinned in requirements.txt: what gets installed where a package is missing.
TESTED = {'torch': '2.13.0', 'mmengine': '0.10.12', 'mmcv': '2.3.6', 'mmdet': '3.5.1'}
# Distributions that bring the same import package, the one of requirements.txt first. More than one at a time
# overwrite each other's files.
PROVIDERS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'onedl-mmcv-lite', 'mmcv-lite', 'mmcv-full'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}
DISTRIBUTIONS = {'torch': ('torch',), 'numpy': ('numpy',), 'pycocotools': ('pycocotools',),
                 'opencv': ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
                            'opencv-contrib-python-headless'), **PROVIDERS}
# In this order, up to the first that fails: what comes later builds on it.
STEPS = ('torch', 'device', 'numpy', 'opencv', 'pycocotools', 'mmengine', 'mmcv', 'mmcv ops', 'mmdet', 'mmaffinity')
TIMEOUT_S = 600


@dataclass
class Facts:
    """What was found.

    Attributes:
        python: version of the interpreter.
        distributions: version of each installed distribution that matters, by its name.
        works: version, or other result, of each step of ``STEPS`` that went well.
        errors: error message of the step that did not.
    """

    python: tuple[int, ...] = sys.version_info[:3]
    distributions: dict[str, str] = field(default_factory=dict)
    works: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Something wrong, and the command that mends it. One that is not serious still lets everything run."""

    text: str
    command: str
    serious: bool = True


def probe() -> None:
    """Try the packages out one by one and print a JSON line for each, up to the first that fails.

    Runs alone in its process, from its source, so it holds its own imports.
    """
    import importlib
    import json
    import os
    from collections.abc import Callable

    def version(module: str) -> Callable[[], str]:
        return lambda: str(importlib.import_module(module).__version__)

    def pycocotools() -> str:
        importlib.import_module('pycocotools.mask')
        return importlib.import_module('importlib.metadata').version('pycocotools')

    def mmdet() -> str:
        importlib.import_module('mmdet.models')
        return version('mmdet.version')()

    def ops() -> str:
        import torch
        from mmcv.ops import nms, roi_align
        devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
        for device in devices:
            # Two boxes that overlap by 0.9 and one apart; the mean of a constant picture.
            boxes = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], device=device)
            kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
            rois = torch.tensor([[0., 0, 0, 4, 4]], device=device)
            pooled = roi_align(torch.full((1, 1, 8, 8), 3., device=device), rois, (1, 1), 1.0, 2, 'avg', False)
            if kept != [0, 2] or abs(pooled.item() - 3) > 1e-5:
                raise RuntimeError(f'wrong results on {device}: nms kept {kept}, roi_align gave {pooled.item()}')
        return 'nms and roi_align run on ' + ' and '.join(devices)

    def device() -> str:
        import torch
        cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return ', '.join([*(f'CUDA: {name}' for name in names), f'CPU: {cores} cores'])

    actions = {
        'torch': version('torch'), 'device': device, 'numpy': version('numpy'), 'opencv': version('cv2'),
        'pycocotools': pycocotools, 'mmengine': version('mmengine'), 'mmcv': version('mmcv'), 'mmcv ops': ops,
        'mmdet': mmdet, 'mmaffinity': version('mmaffinity'),
    }
    for step, action in actions.items():
        try:
            line = {'step': step, 'works': action()}
        except (Exception, SystemExit) as error:  # whatever it is, it is the answer
            while type(error) is ImportError and isinstance(error.__cause__, Exception):
                error = error.__cause__
            message = (str(error).strip().splitlines() or [''])[0]
            line = {'step': step, 'error': f'{type(error).__name__}: {message}'}
        print('\n@' + json.dumps(line), flush=True)
        if 'error' in line:
            break


def collect() -> Facts:
    """Look at the installed distributions and try the packages out in another process."""
    facts = Facts()
    for name in ('torchvision', *sum(DISTRIBUTIONS.values(), ())):
        try:
            facts.distributions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    code = f'{inspect.getsource(probe)}\nprobe()'
    try:
        done = subprocess.run([sys.executable, '-c', code], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=TIMEOUT_S)
        output = done.stdout
        last_words = (done.stderr.decode(errors='replace').strip().splitlines() or [''])[-1]
        end = f'the process ended with code {done.returncode} {last_words}'.strip()
    except subprocess.TimeoutExpired as error:
        output, end = error.stdout or b'', f'no answer within {TIMEOUT_S} s'
    for line in output.decode(errors='replace').splitlines():
        if line.startswith('@{'):
            answer = json.loads(line[1:])
            for key, into in (('works', facts.works), ('error', facts.errors)):
                if key in answer:
                    into[answer['step']] = answer[key]
    silent = [step for step in STEPS if step not in facts.works]
    if silent and not facts.errors:
        facts.errors[silent[0]] = end
    return facts


def quote(*words: object) -> str:
    return ' '.join(shlex.quote(str(word)) for word in words)


def pip(*words: object) -> str:
    return quote(sys.executable, '-m', 'pip', *words)


def made_by_setup() -> bool:
    """Return whether ``make setup`` made this environment."""
    return Path(sys.prefix, 'mmaffinity-setup.json').exists()


def remake(*more: object) -> str:
    """Return the command that makes an environment of ``make setup`` anew."""
    root = Path(__file__).resolve().parent.parent
    return f'{quote("rm", "-rf", sys.prefix, *more)} && {quote("make", "-C", root, "setup", f"VENV={sys.prefix}")}'


def install_command(package: str, distribution: str | None = None) -> str:
    """Return the command that installs one import package of ``TESTED``.

    Args:
        package: its import name.
        distribution: of the line in use; requirements.txt's by default.
    """
    if made_by_setup():
        return remake()
    wanted = distribution or PROVIDERS.get(package, (package,))[0]
    ours = wanted == PROVIDERS.get(package, (package,))[0]
    pinned = f'{wanted}=={TESTED[package]}' if ours else wanted
    if package == 'mmcv':
        # Compiled against the torch that is there; pip's cache may hold a wheel made for another torch.
        return f'{pip("install", "setuptools>=80", "packaging>=24.2", "wheel", "ninja")} && ' \
            f'{pip("install", "--no-build-isolation", "--no-cache-dir", "--no-deps", pinned)}'
    return pip('install', pinned)


def find_problems(facts: Facts) -> list[Finding]:
    """Judge what was found.

    Returns:
        What is wrong, the causes before what follows from them.
    """
    found = []
    if not (3, 10) <= facts.python[:2] <= (3, 12):
        found.append(Finding(f'Python {".".join(map(str, facts.python))} is not supported (3.10 to 3.12 are)',
                             'make setup PYTHON=python3.11 VENV=.venv-py311'))
    found += find_clashes(facts)
    if facts.errors:
        missing = [step for step in DISTRIBUTIONS if step not in facts.works
                   and not any(name in facts.distributions for name in DISTRIBUTIONS[step])]
        found += [Finding(f'{step} is missing', choose_command(step, '', facts)) for step in missing]
    if not found:  # else the failure most likely follows from these
        found += [describe_error(step, error, facts) for step, error in facts.errors.items()]
    if 'torch' in facts.works and [int(part) for part in facts.works['torch'].split('.')[:2]] < [2, 10]:
        found.append(Finding(f'torch {facts.works["torch"]}: its weights-only loading can be made to execute code '
                             '(CVE-2025-32434 before 2.6, CVE-2026-24747 before 2.10); .pth files are refused, unless '
                             'MMAFFINITY_TRUST_PTH=1 says that you wrote them', install_command('torch'), serious=False))
    return found


def describe_error(step: str, error: str, facts: Facts) -> Finding:
    """Return the finding for a step that failed although everything is installed."""
    text = {'mmcv ops': "mmcv's compiled ops do not work", 'device': 'the device cannot be read'}
    return Finding(f'{text.get(step, f"{step} does not load")}: {error}', choose_command(step, error, facts))


def find_clashes(facts: Facts) -> list[Finding]:
    """Return the import packages that more than one distribution brings."""
    found = []
    for package, names in PROVIDERS.items():
        there = [name for name in names if name in facts.distributions]
        if len(there) > 1:
            keep = there[0]
            remove = pip('uninstall', '--yes', *there)
            again = remake() if made_by_setup() else f'{remove} && {install_command(package, keep)}'
            found.append(Finding(f'the import package {package} comes from {" and ".join(there)} at once, which '
                                 f'overwrite each other; this keeps {keep}', again))
    return found


def choose_command(step: str, error: str, facts: Facts) -> str:
    """Return the command for a step that failed."""
    dists = facts.distributions
    if 'torchvision' in error and 'torchvision' in dists:
        return pip('uninstall', '--yes', 'torchvision')  # of another torch; nothing here needs it
    if step == 'opencv':
        if 'opencv-python' in dists and '.so' in error:  # libGL of a desktop
            version = dists.get('opencv-python-headless', dists['opencv-python'])
            return f'{pip("uninstall", "--yes", "opencv-python")} && ' \
                f'{pip("install", "--force-reinstall", "--no-deps", f"opencv-python-headless=={version}")}'
        return pip('install', '--force-reinstall', '--no-deps', 'opencv-python-headless<4.13')
    if step in ('mmcv', 'mmcv ops'):
        if made_by_setup():
            return remake(cache_folder() / 'wheels')
        there = [name for name in PROVIDERS['mmcv'] if name in dists]
        line = 'onedl-mmcv' if 'onedl-mmengine' in dists or 'mmengine' not in dists else 'mmcv'
        remove = f'{pip("uninstall", "--yes", *there)} && ' if there else ''
        return remove + install_command('mmcv', line)
    if step in ('torch', 'mmengine', 'mmdet'):
        return install_command(step, next((name for name in PROVIDERS.get(step, ()) if name in dists), None))
    if step in ('numpy', 'pycocotools'):
        return pip('install', '--force-reinstall', '--no-deps', {'numpy': 'numpy<2.3'}.get(step, step))
    if step == 'device':
        return quote('env', 'CUDA_VISIBLE_DEVICES=', sys.executable, '-m', 'mmaffinity.check_env')
    if 'No module named' in error:
        root = Path(__file__).resolve().parent.parent
        return pip('install', '--no-build-isolation', '--editable', root)
    return f'{quote(sys.executable, "-c", "import mmaffinity")}  # shows where'


def cache_folder() -> Path:
    """Return where ``make setup`` keeps compiled wheels; as in tools/build_mmcv.py, which is not installed."""
    home = os.environ.get('MMAFFINITY_CACHE')
    if home:
        return Path(home).absolute()
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'mmaffinity'


def describe(facts: Facts) -> list[str]:
    """Return the lines of the report, without judgement."""
    lines = [f'{"python":<12} {".".join(map(str, facts.python))}  {sys.executable}',
             f'{"platform":<12} {platform.platform()}']
    for step in STEPS:
        value = facts.works.get(step, 'does not load' if step in facts.errors else 'not tried')
        notes = [name for name in PROVIDERS.get(step, ()) if name in facts.distributions]
        if step in TESTED and step in facts.works and value.split('+')[0] != TESTED[step]:
            notes.append(f'tested: {TESTED[step]}')
        lines.append(f'{step:<12} {value}' + (f'  ({"; ".join(notes)})' if notes else ''))
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print the report; return 1 if something serious is wrong, else 0."""
    parser = argparse.ArgumentParser(prog='python -m mmaffinity.check_env', description=__doc__.splitlines()[0])
    parser.add_argument('--quiet', action='store_true', help='print only what is wrong')
    args = parser.parse_args(arguments)
    facts = collect()
    found = find_problems(facts)
    if not args.quiet:
        print('\n'.join(describe(facts)))
    for finding in found:
        print(f'{"problem" if finding.serious else "warning"}: {finding.text}\n    {finding.command}')
    if not found and not args.quiet:
        print(f'all is well: mmaffinity {__version__} can be used')
    return int(any(finding.serious for finding in found))


if __name__ == '__main__':
    sys.exit(main())
