#!/usr/bin/env python3
"""Write a model as data that anybody can open safely: OUT.safetensors with the weights, OUT.json with all else.

    python tools/model_converters/export_safetensors.py configs/affinity_c8.py epoch_100.pth shared/affinity_c8
    python tools/predict.py SLICES --config shared/affinity_c8.json --checkpoint shared/affinity_c8.safetensors --out results
"""
import argparse

from mmaffinity.apis.sharing import NOTICE, export_model
from mmaffinity.utils.cli import ConfigOptions, run_tool
from mmaffinity.utils.files import sha256_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Write a model as safetensors and JSON, to share it')
    parser.add_argument('config', help='config file, for example configs/affinity_c8.py')
    parser.add_argument('checkpoint', help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('out', metavar='OUT', help='name of the two files, without ending; they replace those of this name')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE', help='override config fields')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    weights, description = export_model(args.config, args.checkpoint, args.out, args.cfg_options)
    print(f'{weights}: {weights.stat().st_size / 2**20:.1f} MiB, sha256 {sha256_of(weights)}')
    print(f'{description}: the model\'s config as data. {NOTICE}')


if __name__ == '__main__':
    run_tool(main)
