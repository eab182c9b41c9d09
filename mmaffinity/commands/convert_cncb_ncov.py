"""Convert the raw CNCB-NCOV download and the published lists into COCO JSON, slice lists and statistics."""

import argparse

from mmaffinity.commands.data_arguments import add_download_arguments, add_min_area, download_options
from mmaffinity.datasets.conversion import ConversionSummary, convert_cncb_ncov
from mmaffinity.datasets.conversion.cncb_ncov import PARTS

LISTS = dict(
    train='COVIDx-CT training list',
    val='COVIDx-CT validation list',
    test='COVIDx-CT test list',
    train_sample="the author's list of 3000 training slices",
    lesions_train="the author's segmentation training list",
    lesions_test="the author's segmentation test list",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'data_root',
        help='folder with the unpacked ct_lesion_seg/ and NCP/, CP/, Normal/ (or, instead of '
        'these, a flat folder of COVIDx-CT version 1 images); output goes to its annotations/',
    )
    parser.add_argument('--only', choices=PARTS, help='convert only this part')
    parser.add_argument(
        '--samples-per-class',
        type=int,
        metavar='N',
        help="draw N training slices per class instead of using the author's list",
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of --samples-per-class (default: 0)')
    parser.add_argument(
        '--keep-classes-apart', action='store_true', help='keep GGO and Consolidation as two lesion categories instead of one'
    )
    add_min_area(parser)
    add_download_arguments(parser, LISTS)


def convert(args: argparse.Namespace) -> ConversionSummary:
    return convert_cncb_ncov(
        args.data_root,
        parts=[args.only] if args.only else PARTS,
        samples_per_class=args.samples_per_class,
        seed=args.seed,
        keep_classes_apart=args.keep_classes_apart,
        min_area=args.min_area,
        **download_options(args),
    )
