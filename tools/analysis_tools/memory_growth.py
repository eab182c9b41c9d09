#!/usr/bin/env python
"""Train for a while and print how the memory grows.

    python tools/analysis_tools/memory_growth.py configs/affinity_c8_phantom.py --iterations 2000
"""
import argparse
import tempfile

from mmengine.config import DictAction

from mmaffinity.apis import train_model
from mmaffinity.engine import MemoryHook
from mmaffinity.utils.cli import run_tool
from mmaffinity.utils.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print the memory of a training run as it goes on')
    parser.add_argument('config', help='config file, for example configs/affinity_c8_phantom.py')
    parser.add_argument('--iterations', type=int, default=2000, help='iterations to train, whole epochs at least')
    parser.add_argument('--interval', type=int, default=200, help='iterations between two rows')
    parser.add_argument('--limit', type=float, help='MiB that the memory may grow between the first and the last row; '
                        'with more the exit code is 2')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override config fields')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.iterations < 2 * args.interval:
        raise ValueError(f'--iterations {args.iterations} gives fewer than two rows of --interval {args.interval}')
    config = load_config(args.config, args.cfg_options)
    config.custom_hooks = [*config.custom_hooks, dict(type='MemoryHook', interval=args.interval, last=args.iterations)]
    config.train_cfg.max_epochs = args.iterations  # the hook ends the run
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    with tempfile.TemporaryDirectory() as work_dir:
        runner = train_model(config, work_dir=work_dir)
    rows = next(hook.rows for hook in runner.hooks if isinstance(hook, MemoryHook))
    print(f'{"iteration":>10} {"process MiB":>12} {"workers MiB":>12}')
    for iteration, process, workers in rows:
        print(f'{iteration:>10} {process:>12.1f} {workers:>12.1f}')
    growth = sum(rows[-1][1:]) - sum(rows[0][1:])
    print(f'growth from iteration {rows[0][0]} to {rows[-1][0]}: {growth:+.1f} MiB')
    if args.limit is not None and growth > args.limit:
        raise ValueError(f'the memory grew by {growth:.1f} MiB, more than --limit {args.limit:g}')


if __name__ == '__main__':
    run_tool(main)
