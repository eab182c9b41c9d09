"""Convert a checkpoint of a model of configs/published back to the layout of the author's published files."""
import argparse

from mmaffinity.utils.published_checkpoint import convert_back_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', metavar='IN.pth', help='converted file, or one that training wrote')
    parser.add_argument('target', metavar='OUT.pth', help='file to write; it replaces one of this name')


def run(args: argparse.Namespace) -> None:
    convert_back_file(args.source, args.target)
    print(f'{args.target}: written in the published layout')
