"""Arguments that control how scans are read; a module of its own, because prediction needs no more than this."""
import argparse

from mmaffinity.scans import TRAINING_WINDOW, ReadOptions, Window


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
