"""Arguments that several commands have."""
import argparse
from collections.abc import Mapping
from types import ModuleType

from mmaffinity.datasets.conversion import LesionOptions, PatientTable, SplitOptions, UnitOptions
from mmaffinity.datasets.conversion.units import GROUPING
from mmaffinity.datasets.verification import Near
from mmaffinity.scans import TRAINING_WINDOW, ReadOptions, Window
from mmaffinity.utils.cli import ConfigOptions


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what training and test share: overrides, launcher, verbosity."""
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields, for example data_root=/data/cncb_ncov')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how the processes of a distributed run were started')
    parser.add_argument('-v', '--verbose', action='store_true', help="show MMEngine's log")
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how scans become grey levels; :func:`read_options` takes them up."""
    parser.add_argument('--window', type=float, nargs=2, metavar=('LEVEL', 'WIDTH'),
                        default=(TRAINING_WINDOW.level, TRAINING_WINDOW.width),
                        help='window in Hounsfield units, for DICOM and NIfTI (default: -600 1500)')
    parser.add_argument('--rescale', type=float, nargs=2, metavar=('SLOPE', 'INTERCEPT'),
                        help='to Hounsfield units, for DICOM without rescale tags and NIfTI with other values')


def read_options(args: argparse.Namespace) -> ReadOptions:
    """Return what the arguments of :func:`add_reading_arguments`, and ``--max-value`` where there is one, say."""
    return ReadOptions(Window(*args.window), args.rescale and tuple(args.rescale), getattr(args, 'max_value', None))


def add_volume_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Add what the converters of volumes share; :func:`split_options` and :func:`read_options` take up most of it.

    Args:
        parser: of the command.
        out: the folder that is made by default.
    """
    add_result_arguments(parser, out)
    parser.add_argument('--every', type=int, default=1, metavar='N', help='take each N-th slice of a volume (default: 1)')
    add_reading_arguments(parser)


def add_result_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Add where a converter writes and how it divides patients, which :func:`split_options` takes up.

    Args:
        parser: of the command.
        out: the folder that is made by default.
    """
    default = SplitOptions()
    parser.add_argument('--out', default=out, metavar='DIR', help=f'folder to make (default: {out})')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier result in that folder')
    parser.add_argument('--val-share', type=float, default=default.val_share, metavar='SHARE',
                        help=f'of the patients, for validation (default: {default.val_share})')
    parser.add_argument('--test-share', type=float, default=default.test_share, metavar='SHARE',
                        help=f'of the patients, for the test (default: {default.test_share})')
    parser.add_argument('--folds', type=int, metavar='K', help='also write lists for a cross-validation of K folds')
    parser.add_argument('--seed', type=int, default=default.seed, help='divides the patients another way (default: 0)')
    parser.add_argument('--workers', type=int, metavar='N', help='threads (default: one per core, eight at most)')


def add_lesion_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is taken of masks; :func:`lesion_options` takes it up."""
    parser.add_argument('--lesion-labels', type=int, nargs='+', metavar='N',
                        help='values of the masks that are lesions; all others are background (default: the only one)')
    parser.add_argument('--negatives', action='store_true', help='keep slices without a lesion')
    parser.add_argument('--min-area', type=int, default=100, metavar='PIXELS',
                        help='only larger lesions are instances (default: 100)')


def lesion_options(args: argparse.Namespace) -> LesionOptions:
    """Return what is taken of masks, by the arguments of :func:`add_lesion_arguments`."""
    return LesionOptions(args.lesion_labels, args.negatives, args.min_area)


def add_near_arguments(parser: argparse.ArgumentParser, default: Near) -> None:
    """Add what counts as nearly the same picture; :func:`near_options` takes it up."""
    parser.add_argument('--near-bits', type=int, default=default.radius,
                        help=f'bits of 64 in which hashes of near-identical slices may differ (default: {default.radius})')
    parser.add_argument('--near-correlation', type=float, default=default.correlation,
                        help=f'that near-identical slices reach at 16 x 16 (default: {default.correlation})')


def near_options(args: argparse.Namespace) -> Near:
    """Return what counts as nearly the same picture, by the arguments of :func:`add_near_arguments`."""
    return Near(args.near_bits, args.near_correlation)


def add_unit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how patients are known, and whether slices are copied; :func:`unit_options` takes up the former."""
    parser.add_argument('--patient-pattern', metavar='REGEX',
                        help='the patient in the path of a slice, as the first group or the group "patient"')
    parser.add_argument('--patients', nargs=3, metavar=('CSV', 'IMAGE', 'PATIENT'),
                        help='a table of patients, and its columns of slices and patients; without this or a pattern, slices '
                             'that look nearly the same stay in one part')
    add_near_arguments(parser, GROUPING)
    parser.add_argument('--copy', action='store_true', help='copy the slices instead of linking to their folder')


def unit_options(args: argparse.Namespace) -> UnitOptions:
    """Return how patients are known, by the arguments of :func:`add_unit_arguments`."""
    return UnitOptions(args.patient_pattern, args.patients and PatientTable(*args.patients), near_options(args))


def split_options(args: argparse.Namespace) -> SplitOptions:
    """Return how patients are divided, by the arguments of :func:`add_result_arguments`."""
    return SplitOptions(args.val_share, args.test_share, args.folds, args.seed)


def add_kinds(parser: argparse.ArgumentParser, modules: Mapping[str, ModuleType]) -> None:
    """Add a subcommand for each module, described by its docstring; ``args.kind`` tells which was chosen."""
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for name, module in modules.items():
        summary = (module.__doc__ or '').partition('\n')[0]
        module.add_arguments(kinds.add_parser(name, help=summary, description=module.__doc__,
                                              formatter_class=argparse.RawDescriptionHelpFormatter))
