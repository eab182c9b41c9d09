"""Arguments shared by several commands."""
import argparse
from collections.abc import Mapping
from types import ModuleType

from mmaffinity.datasets.conversion import SplitOptions
from mmaffinity.scans import TRAINING_WINDOW, ReadOptions, Window
from mmaffinity.utils.cli import ConfigOptions


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments shared by training and testing: overrides, launcher, verbosity."""
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields, for example data_root=/data/cncb_ncov')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='launcher of a distributed run')
    parser.add_argument('-v', '--verbose', action='store_true', help="show MMEngine's log")
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that convert scans to grey levels; :func:`read_options` reads them."""
    parser.add_argument('--window', type=float, nargs=2, metavar=('LEVEL', 'WIDTH'),
                        default=(TRAINING_WINDOW.level, TRAINING_WINDOW.width),
                        help='window in Hounsfield units for DICOM and NIfTI (default: -600 1500)')
    parser.add_argument('--rescale', type=float, nargs=2, metavar=('SLOPE', 'INTERCEPT'),
                        help='conversion to Hounsfield units for DICOM without rescale tags and NIfTI with other values')


def read_options(args: argparse.Namespace) -> ReadOptions:
    """Return the options given by :func:`add_reading_arguments` and, if present, ``--max-value``."""
    return ReadOptions(Window(*args.window), args.rescale and tuple(args.rescale), getattr(args, 'max_value', None))


def add_volume_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Add the arguments shared by the converters of volumes; :func:`split_options` and :func:`read_options` read most of them.

    Args:
        parser: parser of the command.
        out: default output folder.
    """
    default = SplitOptions()
    parser.add_argument('--out', default=out, metavar='DIR', help=f'output folder (default: {out})')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing result in that folder')
    parser.add_argument('--every', type=int, default=1, metavar='N', help='use every N-th slice of a volume (default: 1)')
    parser.add_argument('--val-share', type=float, default=default.val_share, metavar='SHARE',
                        help=f'share of the patients for validation (default: {default.val_share})')
    parser.add_argument('--test-share', type=float, default=default.test_share, metavar='SHARE',
                        help=f'share of the patients for testing (default: {default.test_share})')
    parser.add_argument('--folds', type=int, metavar='K', help='also write lists for K-fold cross-validation')
    parser.add_argument('--seed', type=int, default=default.seed, help='seed of the patient split (default: 0)')
    parser.add_argument('--workers', type=int, metavar='N', help='number of threads (default: one per core, at most eight)')
    add_reading_arguments(parser)


def split_options(args: argparse.Namespace) -> SplitOptions:
    """Return the patient split given by :func:`add_volume_arguments`."""
    return SplitOptions(args.val_share, args.test_share, args.folds, args.seed)


def add_kinds(parser: argparse.ArgumentParser, modules: Mapping[str, ModuleType]) -> None:
    """Add a subcommand for each module, described by its docstring; ``args.kind`` is the chosen one."""
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for name, module in modules.items():
        summary = (module.__doc__ or '').partition('\n')[0]
        module.add_arguments(kinds.add_parser(name, help=summary, description=module.__doc__,
                                              formatter_class=argparse.RawDescriptionHelpFormatter))
