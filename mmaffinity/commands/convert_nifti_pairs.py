"""Convert NIfTI volumes with lesion masks: lesion slices, COCO JSON, statistics.

    mmaffinity convert nifti-pairs COVID-19-CT-Seg_20cases Infection_Mask --rescale 5.882353 -1250

docs/data.md has the command for each public data set.
"""
import argparse

from mmaffinity.commands.arguments import add_lesion_arguments, add_volume_arguments, read_options, split_options
from mmaffinity.datasets.conversion import PairOptions, convert_nifti_pairs
from mmaffinity.utils.console import NamedProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('images', help='folder of the volumes (.nii, .nii.gz), searched with the folders below')
    parser.add_argument('masks', help='folder of their masks; may be the same')
    add_volume_arguments(parser, 'data/nifti_pairs')
    add_lesion_arguments(parser)
    parser.add_argument('--patient-pattern', metavar='REGEX',
                        help='the patient in a name, as the first group (default: each volume is a patient)')
    parser.add_argument('--pair-pattern', metavar='REGEX',
                        help='what the names of a volume and its mask have in common, in groups (default: the whole name '
                             'without _ct, _mask, _seg and the like)')
    parser.add_argument('--ignore-affine', action='store_true',
                        help="take a mask's voxels as those of its volume, wherever its header places them")


def run(args: argparse.Namespace) -> int:
    options = PairOptions(args.lesion_labels, args.negatives, args.min_area, args.every, args.ignore_affine, read_options(args))
    summary = convert_nifti_pairs(
        args.images,
        args.masks,
        args.out,
        options,
        split_options(args),
        args.patient_pattern,
        args.pair_pattern,
        args.overwrite,
        args.workers,
        progress=NamedProgress())
    print(summary.table())
    return 1 if summary.problems else 0
