#!/usr/bin/env python
"""Train a model.

    python tools/train.py configs/affinity_c8.py
"""
import argparse

from mmaffinity.apis import train_model
from mmaffinity.utils.cli import ConfigOptions, run_tool
from mmaffinity.utils.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='config file, for example configs/affinity_c8.py')
    parser.add_argument('--work-dir', help='folder for checkpoints and logs (default: work_dirs/<name of the config>)')
    parser.add_argument('--resume', action='store_true', help='go on from the newest checkpoint in the work dir')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision, on a GPU')
    parser.add_argument('--seed', type=int, help="seed, instead of the config's")
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields, for example data_root=/data/cncb_ncov')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how the processes of a distributed run were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    train_model(load_config(args.config, args.cfg_options), work_dir=args.work_dir, resume=args.resume, amp=args.amp,
                seed=args.seed, launcher=args.launcher)


if __name__ == '__main__':
    run_tool(main)
