"""Arguments shared by several commands."""
import argparse
from collections.abc import Mapping
from types import ModuleType

from mmaffinity.utils.cli import ConfigOptions


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments shared by training and testing: overrides, launcher, verbosity."""
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields, for example data_root=/data/cncb_ncov')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='launcher of a distributed run')
    parser.add_argument('-v', '--verbose', action='store_true', help="show MMEngine's log")
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_kinds(parser: argparse.ArgumentParser, modules: Mapping[str, ModuleType]) -> None:
    """Add a subcommand for each module, described by its docstring; ``args.kind`` is the chosen one."""
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for name, module in modules.items():
        summary = (module.__doc__ or '').partition('\n')[0]
        module.add_arguments(kinds.add_parser(name, help=summary, description=module.__doc__,
                                              formatter_class=argparse.RawDescriptionHelpFormatter))
