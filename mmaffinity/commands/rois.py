"""Store the RoIs of a frozen detector, and join it with a slice head trained on them."""

import argparse

from mmaffinity.commands import rois_extract, rois_merge
from mmaffinity.commands.arguments import add_kinds

KINDS = {
    'extract': rois_extract,
    'merge': rois_merge,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_kinds(parser, KINDS)


def run(args: argparse.Namespace) -> None:
    KINDS[args.kind].run(args)
