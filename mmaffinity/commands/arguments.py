"""Arguments shared by several commands."""

import argparse
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mmaffinity.utils.cli import ConfigOptions

if TYPE_CHECKING:
    from mmaffinity.scans import ReadOptions


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the config and its overrides."""
    parser.add_argument('config', help='name or path of a config, for example affinity_c8')
    add_config_options(parser)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add only the overrides of a config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override config fields, for example data_root=/data/cncb_ncov',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments shared by training and testing: launcher, verbosity."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='launcher of a distributed run (default: none)',
    )
    parser.add_argument('-v', '--verbose', action='store_true', help="show MMEngine's log")
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_fallback_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that predict undecided slices again in float32; :func:`fallback_options` reads them."""
    parser.add_argument(
        '--fallback',
        metavar='FLOAT32.onnx',
        help='the same model exported in float32: predicts undecided slices again if --model runs in bfloat16 or int8; in '
        'bfloat16, it may be the same file',
    )
    parser.add_argument(
        '--fallback-margin',
        type=float,
        metavar='DIFFERENCE',
        help='a slice is undecided if the probabilities of its two most probable classes differ by less than this (default: '
        '0.15 in bfloat16, 0.6 in int8)',
    )


def fallback_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fallback options that were given, as keyword arguments of :class:`OnnxInferencer`.

    Raises:
        ValueError: if an option is given without ``--model``, or a margin without a fallback.
    """
    given = {name: value for name in ('fallback', 'fallback_margin') if (value := getattr(args, name)) is not None}
    if given and args.model is None:
        option = next(iter(given)).replace('_', '-')
        raise ValueError(f'--{option} needs an exported model: run mmaffinity export onnx, and pass it as --model')
    if 'fallback_margin' in given and 'fallback' not in given:
        raise ValueError('--fallback-margin needs --fallback FLOAT32.onnx')
    return given


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that convert scans to grey levels; :func:`read_options` reads them."""
    from mmaffinity.scans import TRAINING_WINDOW

    parser.add_argument(
        '--window',
        type=float,
        nargs=2,
        metavar=('LEVEL', 'WIDTH'),
        default=(TRAINING_WINDOW.level, TRAINING_WINDOW.width),
        help='window in Hounsfield units for DICOM and NIfTI (default: -600 1500)',
    )
    parser.add_argument(
        '--rescale',
        type=float,
        nargs=2,
        metavar=('SLOPE', 'INTERCEPT'),
        help='conversion to Hounsfield units, for DICOM without rescale tags and NIfTI in other units',
    )


def read_options(args: argparse.Namespace) -> 'ReadOptions':
    """Return the options given by :func:`add_reading_arguments` and, if present, ``--max-value``."""
    from mmaffinity.scans import ReadOptions, Window

    return ReadOptions(Window(*args.window), args.rescale and tuple(args.rescale), getattr(args, 'max_value', None))


def add_kinds(parser: argparse.ArgumentParser, modules: Mapping[str, ModuleType]) -> None:
    """Add a subcommand for each module, described by its docstring; ``args.kind`` is the name of the chosen one."""
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for name, module in modules.items():
        summary = (module.__doc__ or '').partition('\n')[0]
        module.add_arguments(
            kinds.add_parser(
                name, help=summary, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
            )
        )
