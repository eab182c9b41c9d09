"""Convert the raw CNCB-NCOV download and the published lists: lesions to COCO JSON, slice lists, statistics."""

import argparse

from mmaffinity.commands.data_arguments import add_download_arguments
from mmaffinity.datasets.conversion import CncbLists, ConversionSummary, convert_cncb_ncov
from mmaffinity.utils.console import NamedProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'data_root',
        help='folder with the unpacked ct_lesion_seg/ and NCP/, CP/, Normal/ (or, instead of '
        'these, a flat folder of COVIDx-CT version 1 images); output goes to its annotations/',
    )
    parser.add_argument('--train-list', metavar='FILE', help='COVIDx-CT training list')
    parser.add_argument('--val-list', metavar='FILE', help='COVIDx-CT validation list')
    parser.add_argument('--test-list', metavar='FILE', help='COVIDx-CT test list')
    parser.add_argument('--train-sample-list', metavar='FILE', help="the author's list of 3000 training slices")
    parser.add_argument('--lesions-train-list', metavar='FILE', help="the author's segmentation training list")
    parser.add_argument('--lesions-test-list', metavar='FILE', help="the author's segmentation test list")
    parser.add_argument('--only', choices=('lesions', 'slices'), help='convert only this part of the data')
    parser.add_argument(
        '--samples-per-class',
        type=int,
        metavar='N',
        help="draw N training slices per class instead of taking the author's list",
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of that draw (default: 0)')
    parser.add_argument(
        '--keep-classes-apart', action='store_true', help='two lesion categories, GGO and Consolidation, instead of one'
    )
    parser.add_argument(
        '--min-area',
        type=int,
        default=100,
        metavar='PIXELS',
        help='keep only lesions with a larger area in pixels as instances (default: 100)',
    )
    add_download_arguments(parser, 'DATA_ROOT, DATA_ROOT/lists')


def convert(args: argparse.Namespace, progress: NamedProgress) -> ConversionSummary:
    lists = CncbLists(
        args.train_list, args.val_list, args.test_list, args.train_sample_list, args.lesions_train_list, args.lesions_test_list
    )
    return convert_cncb_ncov(
        args.data_root,
        lists=lists,
        list_folders=args.lists,
        parts=[args.only] if args.only else ('lesions', 'slices'),
        samples_per_class=args.samples_per_class,
        seed=args.seed,
        keep_classes_apart=args.keep_classes_apart,
        min_area=args.min_area,
        skip_statistics=args.skip_statistics,
        check_files=not args.no_check_files,
        workers=args.workers,
        progress=progress,
    )
