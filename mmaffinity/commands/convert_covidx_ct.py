"""Convert COVIDx-CT (versions 1, 2A, 2B, 3A, 3B) as downloaded from Kaggle: slice lists with body boxes, statistics."""

import argparse

from mmaffinity.commands.data_arguments import add_download_arguments
from mmaffinity.datasets.conversion import ConversionSummary, convert_covidx_ct
from mmaffinity.datasets.conversion.covidx_ct import SPLITS, VERSIONS
from mmaffinity.utils.console import NamedProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'data_root',
        help='folder with the unpacked images (such as 3A_images/), lists and metadata.csv; output goes to its annotations/',
    )
    parser.add_argument(
        '--list-version', choices=VERSIONS, help='version to convert (default: the one whose lists are present)'
    )
    for split in SPLITS:
        parser.add_argument(f'--{split}-list', metavar='FILE', help=f'the {split} list')
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='DIR',
        default=[],
        help='image folders below DATA_ROOT (default: those at two levels with images)',
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
    add_download_arguments(parser, 'DATA_ROOT, DATA_ROOT/lists')


def convert(args: argparse.Namespace, progress: NamedProgress) -> ConversionSummary:
    given = {split: getattr(args, f'{split}_list') for split in SPLITS}
    return convert_covidx_ct(
        args.data_root,
        list_version=args.list_version,
        lists={split: path for split, path in given.items() if path is not None},
        list_folders=args.lists,
        image_folders=args.images,
        metadata=args.metadata,
        splits=args.splits,
        skip_statistics=args.skip_statistics,
        check_files=not args.no_check_files,
        workers=args.workers,
        progress=progress,
    )
