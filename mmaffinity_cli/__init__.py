"""The command ``mmaffinity``.

A separate package that imports only the standard library: ``mmaffinity --help`` responds immediately, and ``mmaffinity
check-env`` works even if torch or MMDetection do not. The commands themselves are in ``mmaffinity.commands``; torch and
MMDetection are imported only once their arguments have been read.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Any

CHECK_ENV = 'check-env'
COMMANDS = {
    'demo': 'run everything on synthetic slices: draw, train, test, fine-tune, test',
    'train': 'train a model',
    'test': 'test a model: lesion segmentation and slice classification',
    'predict': 'predict scans: images, DICOM series, NIfTI volumes',
    'convert': 'convert downloaded data sets and published checkpoints',
    'phantom': 'draw a synthetic data set',
    'verify': 'verify the data of a config: leakage, damaged files, duplicates, annotations',
    'statistics': 'compute the mean and std of the grey levels of the training slices',
    'report': "build the paper's tables from finished test runs",
    'figures': "draw the paper's figures for finished runs",
    'export': 'share a model as ONNX, as safetensors, or in the layout of the published checkpoints',
    'reproduce': 'run a whole study: all training runs, tests, tables and figures of the paper or of a plan',
    'rois': 'store the RoIs of a frozen detector, and join it with a slice head trained on them',
    'model-zoo': 'write the table of trained models from model-index.yml',
    'train-seeds': 'train and test a config with several seeds',
    'agreement': 'compare predictions across threads, processors, batch sizes and rounding',
    'benchmark': 'time a model',
    'memory-growth': 'measure how the memory of a run grows',
    CHECK_ENV: 'report what is wrong with this installation and how to fix it',
}
# Commands that work without torch and MMDetection, or load them only for some inputs, by :func:`load`.
STANDALONE = ('convert', 'model-zoo', 'phantom', 'predict')


def main(*verbs: str) -> None:
    """Run a command.

    Args:
        verbs: the command, if run by a script in ``tools/``; by default the first argument on the command line.
    """
    # Names that the terminal cannot show, or that are not valid Unicode, must not end a command; standard error escapes them.
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')
    arguments = [*verbs, *sys.argv[1:]]
    if not arguments or arguments[0] in ('-h', '--help'):
        print(overview())
        return
    if arguments[0] == '--version':
        with _lazy():
            from mmaffinity import __version__
        print(f'mmaffinity {__version__}')
        return
    name = arguments[0]
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f'did you mean {near[0]}?' if near else f'choose from {", ".join(COMMANDS)}'
        print(f'mmaffinity: error: there is no command {name!r}; {hint}', file=sys.stderr)
        sys.exit(2)
    if name == CHECK_ENV:
        from .check_env import main as check_env

        code = check_env(arguments[1:])
    else:
        command = load(f'mmaffinity.commands.{name.replace("-", "_")}')
        args = parse(command, arguments[1:], None if verbs else f'mmaffinity {name}')
        if name not in STANDALONE:
            load('mmaffinity.registration')
        from mmaffinity.utils.cli import run_tool

        code = run_tool(lambda: command.run(args))
    if code:
        sys.exit(code)


def load(name: str) -> Any:
    """Import a module of the package and what it needs; if the installation is broken, end the command with a message."""
    try:
        with _lazy():
            from mmaffinity.utils.garbage import collection_paused

            with collection_paused(freeze=name not in sys.modules):
                return import_module(name)
    except Exception as error:  # whatever a broken installation raises
        if isinstance(error, ModuleNotFoundError) and _runtime_alone():
            print(
                f'mmaffinity: error: this needs {error.name}, but mmaffinity-runtime is installed, which only runs "mmaffinity '
                'predict --model FILE.onnx"; for everything else, uninstall it and install mmaffinity (docs/install.md)',
                file=sys.stderr,
            )
            sys.exit(2)
        print(
            f'mmaffinity: error: the package cannot be imported ({type(error).__name__}: {error}); '
            '"mmaffinity check-env" reports the problem and how to fix it',
            file=sys.stderr,
        )
        sys.exit(2)


def _runtime_alone() -> bool:
    from importlib.metadata import distributions

    names = {found.name for found in distributions() if found.name and found.name.startswith('mmaffinity')}
    return names == {'mmaffinity-runtime'}


@contextmanager
def _lazy() -> Iterator[None]:
    """Let ``import mmaffinity`` load nothing, so that help and usage errors do not wait for torch and MMDetection."""
    before = os.environ.get('MMAFFINITY_LAZY')
    os.environ['MMAFFINITY_LAZY'] = '1'
    try:
        yield
    finally:
        if before is None:
            del os.environ['MMAFFINITY_LAZY']


def parse(command: Any, arguments: Sequence[str], prog: str | None) -> argparse.Namespace:
    """Parse the arguments of a command."""
    parser = argparse.ArgumentParser(
        prog=prog, description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def overview() -> str:
    """Return the text of ``mmaffinity --help``."""
    width = max(map(len, COMMANDS))
    rows = '\n'.join(f'  {name:<{width}}  {text}' for name, text in COMMANDS.items())
    return f'usage: mmaffinity COMMAND ...\n\ncommands:\n{rows}\n\nmmaffinity COMMAND --help explains each.'
