"""Convert the raw iCTCF download and the published lists: slice lists, statistics."""
import argparse

from mmaffinity.datasets.conversion import convert_ictcf
from mmaffinity.utils.console import NamedProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('data_root', help='folder with the unpacked nCT/ and pCT/; output goes to its annotations/')
    parser.add_argument('--lists', nargs='+', metavar='DIR', default=[],
                        help='folders that contain the lists under their published names (default: DATA_ROOT/lists)')
    parser.add_argument('--train-list', metavar='FILE', help="the author's training list")
    parser.add_argument('--test-list', metavar='FILE', help="the author's test list")
    parser.add_argument('--skip-statistics', action='store_true', help='do not compute mean and std of the grey levels')
    parser.add_argument('--no-check-files', action='store_true', help='do not check that the listed slices exist')
    parser.add_argument('--workers', type=int, metavar='N', help='number of threads (default: one per core, at most eight)')


def run(args: argparse.Namespace) -> None:
    summary = convert_ictcf(
        args.data_root,
        train_list=args.train_list,
        test_list=args.test_list,
        list_folders=args.lists,
        skip_statistics=args.skip_statistics,
        check_files=not args.no_check_files,
        workers=args.workers,
        progress=NamedProgress())
    print(summary.table())
