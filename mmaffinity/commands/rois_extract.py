"""Store the RoIs that a detector finds in the labelled slices of a config; a slice head trains on them in seconds.

Example:
    mmaffinity rois extract public/affinity_c8_from_scratch work_dirs/mask_rcnn_folders/epoch_4.pth --out data/rois
"""

import argparse

from mmaffinity.commands.arguments import add_config_options
from mmaffinity.utils.console import NamedProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='name or path of the config of an affinity model')
    parser.add_argument('checkpoint', help='weights of that model, or of a Mask R-CNN of the same architecture')
    parser.add_argument('--out', metavar='DIR', default='data/rois', help='output folder (default: data/rois)')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing result in that folder')
    parser.add_argument(
        '--flip',
        action='store_true',
        help='also store the RoIs of the mirror image of each slice, for flip_prob of LoadStoredRoIs',
    )
    add_config_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis.stored_rois import extract_rois

    progress = NamedProgress()
    folder = extract_rois(
        args.config,
        args.checkpoint,
        args.out,
        args.overwrite,
        overrides=args.cfg_options,
        progress=lambda done, total: progress('slices', done, total),
        flip=args.flip,
    )
    print(f'The RoIs are in {folder}')
