"""Convert the raw iCTCF download and the published lists: slice lists, statistics."""

import argparse

from mmaffinity.commands.data_arguments import add_download_arguments
from mmaffinity.datasets.conversion import ConversionSummary, convert_ictcf
from mmaffinity.utils.console import NamedProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('data_root', help='folder with the unpacked nCT/ and pCT/; output goes to its annotations/')
    parser.add_argument('--train-list', metavar='FILE', help="the author's training list")
    parser.add_argument('--test-list', metavar='FILE', help="the author's test list")
    add_download_arguments(parser, 'DATA_ROOT/lists')


def convert(args: argparse.Namespace, progress: NamedProgress) -> ConversionSummary:
    return convert_ictcf(
        args.data_root,
        train_list=args.train_list,
        test_list=args.test_list,
        list_folders=args.lists,
        skip_statistics=args.skip_statistics,
        check_files=not args.no_check_files,
        workers=args.workers,
        progress=progress,
    )
