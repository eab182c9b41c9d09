"""Export a whole model as one ONNX file that runs without torch. docs/deployment.md describes it.

Examples:
    mmaffinity export onnx affinity_c8_steady epoch_100.pth affinity_c8_steady.onnx
    mmaffinity export onnx affinity_c8_steady epoch_100.pth int8.onnx --int8 data/cncb_ncov/ct_lesion_seg/image
    mmaffinity predict SLICES --model affinity_c8_steady.onnx --out results
"""

import argparse

from mmaffinity.commands.arguments import add_config_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='name or path of a config, for example affinity_c8_steady')
    parser.add_argument('checkpoint', help='weights, for example work_dirs/affinity_c8_steady/epoch_100.pth')
    parser.add_argument('out', metavar='OUT.onnx', help='file to write; an existing file is replaced')
    parser.add_argument(
        '--int8',
        nargs='+',
        metavar='SLICES',
        help='quantise the convolutions to int8, calibrated on these training slices (files and folders)',
    )
    parser.add_argument(
        '--calibration-slices', type=int, default=100, help='maximum number of these slices, evenly spaced (default: 100)'
    )
    add_config_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis.onnx_export import NOTICE, export_onnx
    from mmaffinity.utils.files import sha256_of

    out = export_onnx(args.config, args.checkpoint, args.out, args.cfg_options, args.int8, args.calibration_slices)
    print(f'{out}: {out.stat().st_size / 2**20:.1f} MiB, sha256 {sha256_of(out)}. {NOTICE}')
