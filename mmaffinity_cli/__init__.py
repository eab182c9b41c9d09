"""The command ``mmaffinity``.

A separate package that imports only the standard library: ``mmaffinity --help`` responds immediately, and ``mmaffinity
check-env`` works even if torch or MMDetection do not. The commands themselves are in ``mmaffinity.commands``.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
        try:
            with _lazy() if name == 'predict' else nullcontext():
                module = import_module(f'mmaffinity.commands.{name.replace("-", "_")}')
        except Exception as error:  # whatever a broken installation raises
            print(
                f'mmaffinity: error: the package cannot be imported ({type(error).__name__}: {error}); '
                '"mmaffinity check-env" reports the problem and how to fix it',
                file=sys.stderr,
            )
            sys.exit(2)
        code = run(module, arguments[1:], None if verbs else f'mmaffinity {name}')
    if code:
        sys.exit(code)


@contextmanager
def _lazy() -> Iterator[None]:
    """Let ``import mmaffinity`` load nothing, as an exported model needs nothing; a checkpoint loads it when it is opened."""
    before = os.environ.get('MMAFFINITY_LAZY')
    os.environ['MMAFFINITY_LAZY'] = '1'
    try:
        yield
    finally:
        if before is None:
            del os.environ['MMAFFINITY_LAZY']


def run(module: Any, arguments: Sequence[str], prog: str | None) -> int:
    """Parse the arguments of a command and run it; return the exit code."""
    from mmaffinity.utils.cli import run_tool

    parser = argparse.ArgumentParser(
        prog=prog, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    args = parser.parse_args(arguments)
    return run_tool(lambda: module.run(args))


def overview() -> str:
    """Return the text of ``mmaffinity --help``."""
    width = max(map(len, COMMANDS))
    rows = '\n'.join(f'  {name:<{width}}  {text}' for name, text in COMMANDS.items())
    return f'usage: mmaffinity COMMAND ...\n\ncommands:\n{rows}\n\nmmaffinity COMMAND --help explains each.'
