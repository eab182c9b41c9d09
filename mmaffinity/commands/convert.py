"""Convert downloaded data sets and published checkpoints."""
import argparse

from mmaffinity.commands import convert_cncb_ncov, convert_covidx_ct, convert_ictcf, convert_published
from mmaffinity.commands.arguments import add_kinds

KINDS = {
    'cncb-ncov': convert_cncb_ncov,
    'covidx-ct': convert_covidx_ct,
    'ictcf': convert_ictcf,
    'published': convert_published,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_kinds(parser, KINDS)


def run(args: argparse.Namespace) -> None:
    KINDS[args.kind].run(args)
