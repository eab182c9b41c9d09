#!/usr/bin/env python
"""Test a model: lesion segmentation and slice classification.

    python tools/test.py configs/affinity_c8.py work_dirs/affinity_c8/epoch_100.pth --out results.json
"""
import argparse

from mmaffinity.apis import test_model
from mmaffinity.utils.cli import ConfigOptions, run_tool
from mmaffinity.utils.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='config file, for example configs/affinity_c8.py')
    parser.add_argument('checkpoint', help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/<name of the config>)')
    parser.add_argument('--out', help='JSON file for metrics and per-slice predictions')
    parser.add_argument('--split', choices=['test', 'val'], default='test',
                        help='slices to test on; predictions for val are what the report fits its temperature on')
    parser.add_argument('--show-dir', help='folder for pictures: overlays, confusion matrix, affinities')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields, for example data_root=/data/cncb_ncov')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how the processes of a distributed run were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    test_model(load_config(args.config, args.cfg_options), args.checkpoint, work_dir=args.work_dir, out=args.out,
               show_dir=args.show_dir, launcher=args.launcher, split=args.split)


if __name__ == '__main__':
    run_tool(main)
