"""Convert COVIDx-CT (versions 1, 2A, 2B, 3A, 3B) from Kaggle into slice lists with body boxes, and statistics."""

import argparse

from mmaffinity.commands.data_arguments import add_download_arguments, download_options
from mmaffinity.datasets.conversion import ConversionSummary, convert_covidx_ct
from mmaffinity.datasets.conversion.covidx_ct import SPLITS, VERSIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'data_root',
        help='folder with the unpacked images (such as 3A_images/), lists and metadata.csv; output goes to its annotations/',
    )
    parser.add_argument(
        '--list-version', choices=VERSIONS, help='version to convert (default: the one whose lists are present)'
    )
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='DIR',
        default=[],
        help='image folders below DATA_ROOT (default: all with images, down to two levels)',
    )
    parser.add_argument('--metadata', metavar='FILE', help='metadata.csv (default: the one next to images or lists, if any)')
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=SPLITS,
        default=SPLITS,
        metavar='SPLIT',
        help='lists to convert: train, val, test (default: all three)',
    )
    add_download_arguments(parser, {split: f'the {split} list' for split in SPLITS})


def convert(args: argparse.Namespace) -> ConversionSummary:
    return convert_covidx_ct(
        args.data_root,
        args.list_version,
        image_folders=args.images,
        metadata=args.metadata,
        splits=args.splits,
        **download_options(args),
    )
