"""Arguments shared by the commands that convert or verify data."""

import argparse
from collections.abc import Mapping
from typing import Any

from mmaffinity.datasets.conversion import LesionOptions, PatientTable, SplitOptions, UnitOptions
from mmaffinity.datasets.conversion.units import GROUPING
from mmaffinity.datasets.verification.near import Near
from mmaffinity.utils.console import NamedProgress

from .arguments import add_reading_arguments


def add_download_arguments(parser: argparse.ArgumentParser, lists: Mapping[str, str]) -> None:
    """Add the arguments shared by the converters of downloads with published lists; see :func:`download_options`.

    Args:
        parser: parser of the command.
        lists: description of each list, by its role.
    """
    parser.set_defaults(roles=list(lists))
    for role, words in lists.items():
        parser.add_argument(f'--{role.replace("_", "-")}-list', metavar='FILE', help=words)
    parser.add_argument(
        '--lists',
        nargs='+',
        metavar='DIR',
        default=[],
        help='folders that contain the lists under their published names (default: DATA_ROOT, DATA_ROOT/lists)',
    )
    parser.add_argument('--skip-statistics', action='store_true', help='do not compute mean and std of the grey levels')
    parser.add_argument('--no-check-files', action='store_true', help='do not check that the listed slices exist')
    add_workers(parser)


def download_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of a converter given by :func:`add_download_arguments`."""
    given = {role: getattr(args, f'{role}_list') for role in args.roles}
    return dict(
        lists={role: path for role, path in given.items() if path is not None},
        list_folders=args.lists,
        skip_statistics=args.skip_statistics,
        check_files=not args.no_check_files,
        workers=args.workers,
        progress=NamedProgress(),
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of worker threads."""
    parser.add_argument('--workers', type=int, metavar='N', help='number of threads (default: one per core, at most eight)')


def add_volume_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Add the arguments shared by the converters of volumes; :func:`result_options` and :func:`read_options` read most of them.

    Args:
        parser: parser of the command.
        out: default output folder.
    """
    add_result_arguments(parser, out)
    parser.add_argument('--every', type=int, default=1, metavar='N', help='use every N-th slice of a volume (default: 1)')
    add_reading_arguments(parser)


def add_result_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Add the output folder and the split of the patients; see :func:`result_options`.

    Args:
        parser: parser of the command.
        out: default output folder.
    """
    default = SplitOptions()
    parser.add_argument('--out', default=out, metavar='DIR', help=f'output folder (default: {out})')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing result in that folder')
    parser.add_argument(
        '--val-share',
        type=float,
        default=default.val_share,
        metavar='SHARE',
        help=f'share of the patients for validation (default: {default.val_share})',
    )
    parser.add_argument(
        '--test-share',
        type=float,
        default=default.test_share,
        metavar='SHARE',
        help=f'share of the patients for testing (default: {default.test_share})',
    )
    parser.add_argument('--folds', type=int, metavar='K', help='also write lists for K-fold cross-validation')
    parser.add_argument('--seed', type=int, default=default.seed, help='seed of the patient split (default: 0)')
    add_workers(parser)


def add_lesion_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for reading masks; see :func:`lesion_options`."""
    parser.add_argument(
        '--lesion-labels',
        type=int,
        nargs='+',
        metavar='N',
        help='mask values that are lesions; all others are background (default: the only value besides 0)',
    )
    parser.add_argument('--negatives', action='store_true', help='also keep slices without lesions')
    add_min_area(parser)


def add_min_area(parser: argparse.ArgumentParser) -> None:
    """Add the area above which a lesion becomes an instance."""
    parser.add_argument(
        '--min-area',
        type=int,
        default=100,
        metavar='PIXELS',
        help='keep only lesions with an area above this as instances (default: 100)',
    )


def lesion_options(args: argparse.Namespace) -> LesionOptions:
    """Return the options given by :func:`add_lesion_arguments`."""
    return LesionOptions(args.lesion_labels, args.negatives, args.min_area)


def add_near_arguments(parser: argparse.ArgumentParser, default: Near) -> None:
    """Add the criteria for near-identical slices; see :func:`near_options`."""
    parser.add_argument(
        '--near-bits',
        type=int,
        default=default.radius,
        help=f'largest hash distance of near-identical slices, in bits out of 64 (default: {default.radius})',
    )
    parser.add_argument(
        '--near-correlation',
        type=float,
        default=default.correlation,
        help=f'smallest correlation of near-identical slices at 16 x 16 pixels (default: {default.correlation})',
    )


def near_options(args: argparse.Namespace) -> Near:
    """Return the criteria given by :func:`add_near_arguments`."""
    return Near(args.near_bits, args.near_correlation)


def add_unit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that identify patients, and whether slices are copied; see :func:`unit_options`."""
    parser.add_argument(
        '--patient-pattern',
        metavar='REGEX',
        help='pattern whose first group, or group "patient", is the patient in the path of a slice',
    )
    parser.add_argument(
        '--patients',
        nargs=3,
        metavar=('CSV', 'IMAGE', 'PATIENT'),
        help='CSV file, and the names of its columns of slices and patients; without this or --patient-pattern, near-identical '
        'slices stay in one split',
    )
    add_near_arguments(parser, GROUPING)
    parser.add_argument('--copy', action='store_true', help='copy the slices instead of linking to their folder')


def unit_options(args: argparse.Namespace) -> UnitOptions:
    """Return how patients are identified, as given by :func:`add_unit_arguments`."""
    return UnitOptions(args.patient_pattern, args.patients and PatientTable(*args.patients), near_options(args))


def result_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of a converter given by :func:`add_result_arguments`, except the folder."""
    splits = SplitOptions(args.val_share, args.test_share, args.folds, args.seed)
    return dict(splits=splits, overwrite=args.overwrite, workers=args.workers, progress=NamedProgress())
