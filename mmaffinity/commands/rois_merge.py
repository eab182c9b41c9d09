"""Join a detector with a slice head trained on its stored RoIs in one checkpoint, for testing and prediction.

    mmaffinity rois merge public/affinity_c8_from_scratch work_dirs/mask_rcnn_folders/epoch_4.pth \\
        work_dirs/head_c8_folders/epoch_20.pth work_dirs/affinity_c8.pth
"""

import argparse

from mmaffinity.commands.arguments import add_config_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='name or path of the config of the affinity model')
    parser.add_argument('detector', help='weights of the detector')
    parser.add_argument('head', help='weights of the slice head')
    parser.add_argument('out', help='checkpoint to write; an existing file is replaced')
    add_config_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis.stored_rois import merge_head
    from mmaffinity.utils.files import sha256_of

    merged = merge_head(args.config, args.detector, args.head, args.out, args.cfg_options)
    print(f'Wrote {merged}, sha256 {sha256_of(merged)}')
