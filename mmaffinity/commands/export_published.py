"""Convert a checkpoint of a configs/published model back to the layout of the author's published files."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', metavar='IN.pth', help='converted or trained checkpoint')
    parser.add_argument('target', metavar='OUT.pth', help='file to write; an existing file is replaced')


def run(args: argparse.Namespace) -> None:
    from mmaffinity.checkpoints.published import convert_back_file

    convert_back_file(args.source, args.target)
    print(f'Wrote {args.target} in the published layout')
