"""Test a model: lesion segmentation and slice classification.

Example:
    mmaffinity test affinity_c8 work_dirs/affinity_c8/epoch_100.pth --out results.json
"""

import argparse

from mmaffinity.commands.arguments import add_config, add_run_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('checkpoint', help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('--work-dir', help='work directory, for logs (default: work_dirs/<name of the config>)')
    parser.add_argument('--out', help='JSON file for the metrics and per-slice predictions')
    parser.add_argument('--html', metavar='FILE', help='page to open in a browser: confusion matrix, curves, slices')
    parser.add_argument(
        '--split',
        choices=['test', 'val'],
        default='test',
        help='slices to test on (default: test); the report fits its temperature on predictions for val',
    )
    parser.add_argument('--show-dir', help='folder for images: overlays, confusion matrix, affinities')
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from mmaffinity.apis import test_model
    from mmaffinity.utils.config import load_config

    test_model(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        work_dir=args.work_dir,
        out=args.out,
        show_dir=args.show_dir,
        launcher=args.launcher,
        split=args.split,
        verbose=args.verbose,
        html=args.html,
    )
    if args.html and is_main_process():
        print(f'Open {args.html} in a browser')
