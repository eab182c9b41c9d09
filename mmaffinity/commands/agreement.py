"""Compare predictions under different thread counts, processor instructions, batch sizes and rounding with float64.

Example:
    mmaffinity agreement affinity_c8_steady work_dirs/affinity_c8_steady/epoch_100.pth SLICES --out work_dirs/agreement.json
"""

import argparse
from functools import partial

from mmaffinity.commands.arguments import add_config, add_fallback_arguments, fallback_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('checkpoint', help='weights, for example work_dirs/affinity_c8_steady/epoch_100.pth')
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='files and folders of slices, as for prediction')
    parser.add_argument('--max-slices', type=int, help='use at most this many slices, evenly spaced (default: all)')
    parser.add_argument('--noise', type=float, default=1e-6, help='relative noise on the features (default: 1e-6)')
    parser.add_argument('--draws', type=int, default=3, help='number of noise draws (default: 3)')
    parser.add_argument(
        '--model', metavar='FILE.onnx', help='also compare the same model, exported with mmaffinity export onnx'
    )
    add_fallback_arguments(parser)
    parser.add_argument(
        '--variants', nargs='+', metavar='NAME', help='compare only these variants (default: all that this machine supports)'
    )
    parser.add_argument('--out', metavar='JSON', help='JSON file for all results')


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis.agreement import format_agreement, measure_agreement
    from mmaffinity.apis.variants import default_variants
    from mmaffinity.utils.config import load_config
    from mmaffinity.utils.files import write_json_atomic

    config = load_config(args.config, args.cfg_options)
    variants = default_variants(config, args.noise, args.draws, exported=args.model, **fallback_options(args))
    if args.variants:
        names = [variant.name for variant in variants]
        unknown = [name for name in args.variants if name not in names]
        if unknown:
            raise ValueError(f'unknown variant {unknown[0]!r}; this machine and model support {", ".join(names)}')
        variants = [variants[0], *(variant for variant in variants[1:] if variant.name in args.variants)]
    found = measure_agreement(
        config,
        args.checkpoint,
        args.inputs,
        variants,
        max_slices=args.max_slices,
        progress=partial(print, flush=True),
    )
    if args.out:
        write_json_atomic(args.out, found)
    print(f'\n{format_agreement(found)}')
