"""Export a model as files that are safe to open: OUT.safetensors with the weights, OUT.json with everything else.

Examples:
    mmaffinity export safetensors affinity_c8 epoch_100.pth shared/affinity_c8
    mmaffinity predict SLICES --config shared/affinity_c8.json --checkpoint shared/affinity_c8.safetensors --out results
"""

import argparse

from mmaffinity.commands.arguments import add_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('checkpoint', help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('out', metavar='OUT', help='path of both files, without extension; existing files are replaced')


def run(args: argparse.Namespace) -> None:
    from mmaffinity.checkpoints.sharing import export_model
    from mmaffinity.utils.files import sha256_of
    from mmaffinity.utils.provenance import NOTICE

    weights, description = export_model(args.config, args.checkpoint, args.out, args.cfg_options)
    print(f'{weights}: {weights.stat().st_size / 2**20:.1f} MiB, sha256 {sha256_of(weights)}')
    print(f"{description}: the model's config as data. {NOTICE}")
