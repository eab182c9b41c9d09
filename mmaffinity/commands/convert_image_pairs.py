"""Convert folders of slices and masks, images with matching names, into COCO JSON and statistics.

Example:
    mmaffinity convert image-pairs my_data/image my_data/mask --lesion-labels 2 --patients my_data/slices.csv slice patient
"""

import argparse

from mmaffinity.commands.data_arguments import (
    add_lesion_arguments,
    add_result_arguments,
    add_unit_arguments,
    lesion_options,
    result_options,
    unit_options,
)
from mmaffinity.datasets.conversion import ConversionSummary, convert_image_pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('images', help='folder of the slices (PNG, JPEG, ...), searched recursively')
    parser.add_argument('masks', help='folder of their masks (PNG, ...), whose pixel values are labels; may be the same folder')
    add_result_arguments(parser, 'data/image_pairs')
    add_lesion_arguments(parser)
    add_unit_arguments(parser)
    parser.add_argument(
        '--pair-pattern',
        metavar='REGEX',
        help='pattern whose groups are the same in the paths of a slice and its mask (default: the whole path '
        'without _image, _mask, _seg and the like)',
    )


def convert(args: argparse.Namespace) -> ConversionSummary:
    return convert_image_pairs(
        args.images,
        args.masks,
        args.out,
        lesion_options(args),
        units=unit_options(args),
        pair_pattern=args.pair_pattern,
        copy=args.copy,
        **result_options(args),
    )
