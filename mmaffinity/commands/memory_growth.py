"""Train or test a model, and print how memory grows.

Examples:
    mmaffinity memory-growth affinity_c8_phantom --iterations 2000
    mmaffinity memory-growth affinity_c8_phantom --test work_dirs/affinity_c8_phantom/epoch_2.pth
"""

import argparse
import tempfile

from mmaffinity.commands.arguments import add_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        '--iterations', type=int, default=2000, help='training iterations, rounded up to whole epochs (default: 2000)'
    )
    parser.add_argument('--test', metavar='CHECKPOINT', help='instead, test this model on all its test slices')
    parser.add_argument('--interval', type=int, default=200, help='iterations between rows (default: 200)')
    parser.add_argument(
        '--limit',
        type=float,
        help='largest growth of memory between the first and the last row, in MiB; above it, the exit code is 2',
    )


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis import test_model, train_model
    from mmaffinity.utils.config import load_config

    config = load_config(args.config, args.cfg_options)
    hook = dict(type='MemoryHook', interval=args.interval, limit=args.limit)
    with tempfile.TemporaryDirectory() as work_dir:
        if args.test:
            config.custom_hooks = [*(config.get('custom_hooks') or []), hook]
            test_model(config, args.test, work_dir=work_dir)
            return
        if args.iterations < 2 * args.interval:
            raise ValueError(
                f'--iterations {args.iterations} with --interval {args.interval} gives fewer than two rows: use at least '
                f'--iterations {2 * args.interval}'
            )
        config.custom_hooks = [*(config.get('custom_hooks') or []), dict(hook, last=args.iterations)]
        config.train_cfg.max_epochs = args.iterations  # the hook ends the run
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        train_model(config, work_dir=work_dir)
