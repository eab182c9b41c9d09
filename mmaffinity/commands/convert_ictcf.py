"""Convert the raw iCTCF download and the published lists into slice lists and statistics."""

import argparse

from mmaffinity.commands.data_arguments import add_download_arguments, download_options
from mmaffinity.datasets.conversion import ConversionSummary, convert_ictcf


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('data_root', help='folder with the unpacked nCT/ and pCT/; output goes to its annotations/')
    add_download_arguments(parser, dict(train="the author's training list", test="the author's test list"))


def convert(args: argparse.Namespace) -> ConversionSummary:
    return convert_ictcf(args.data_root, **download_options(args))
