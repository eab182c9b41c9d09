"""Convert NIfTI volumes with lesion masks into lesion slices, COCO JSON and statistics.

    mmaffinity convert nifti-pairs COVID-19-CT-Seg_20cases Infection_Mask --rescale 5.882353 -1250

docs/data.md gives the command for each public data set.
"""

import argparse

from mmaffinity.commands.arguments import read_options
from mmaffinity.commands.data_arguments import add_lesion_arguments, add_volume_arguments, result_options
from mmaffinity.datasets.conversion import ConversionSummary, PairOptions, convert_nifti_pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('images', help='folder of the volumes (.nii, .nii.gz), searched recursively')
    parser.add_argument('masks', help='folder of their masks; may be the same folder')
    add_volume_arguments(parser, 'data/nifti_pairs')
    add_lesion_arguments(parser)
    parser.add_argument(
        '--patient-pattern',
        metavar='REGEX',
        help='pattern whose first group is the patient in the name of a volume (default: each volume is a patient)',
    )
    parser.add_argument(
        '--pair-pattern',
        metavar='REGEX',
        help='pattern whose groups are the same in the names of a volume and its mask (default: the whole '
        'name without _ct, _mask, _seg and the like)',
    )
    parser.add_argument(
        '--ignore-affine',
        action='store_true',
        help='assume that the voxels of each mask match those of its volume, whatever its header says',
    )


def convert(args: argparse.Namespace) -> ConversionSummary:
    options = PairOptions(args.lesion_labels, args.negatives, args.min_area, args.every, args.ignore_affine, read_options(args))
    return convert_nifti_pairs(
        args.images,
        args.masks,
        args.out,
        options,
        patient_pattern=args.patient_pattern,
        pair_pattern=args.pair_pattern,
        **result_options(args),
    )
