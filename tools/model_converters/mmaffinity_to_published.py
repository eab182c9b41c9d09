#!/usr/bin/env python3
"""Convert a checkpoint of a model of configs/published back to the layout of the author's published files."""
import argparse

from mmaffinity.utils.cli import run_tool
from mmaffinity.utils.published_checkpoint import convert_back_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', metavar='IN.pth', help='converted file, or one that training wrote')
    parser.add_argument('target', metavar='OUT.pth', help='file to write; it replaces one of this name')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    convert_back_file(args.source, args.target)
    print(f'{args.target}: written in the published layout')


if __name__ == '__main__':
    run_tool(main)
