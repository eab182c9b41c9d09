"""Convert one folder of slices per class into slice lists and statistics.

Example:
    mmaffinity convert class-folders my_data --classes healthy covid
"""

import argparse

from mmaffinity.commands.data_arguments import add_result_arguments, add_unit_arguments, result_options, unit_options
from mmaffinity.datasets.conversion import ConversionSummary, convert_class_folders
from mmaffinity_cli import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('root', help='folder that holds one folder of slices per class')
    add_result_arguments(parser, 'data/class_folders')
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='FOLDER',
        help='the class folders, in the order of their labels 0, 1, ... (default: all, sorted by name)',
    )
    add_unit_arguments(parser)


def convert(args: argparse.Namespace) -> ConversionSummary:
    load('mmaffinity.datasets.slice_folder_dataset')  # the only data set of a converter that needs torch and MMDetection
    units = unit_options(args)
    return convert_class_folders(args.root, args.out, args.classes, units=units, copy=args.copy, **result_options(args))
