"""Export a model as ONNX, as safetensors and JSON, or in the layout of the published checkpoints."""

import argparse

from mmaffinity.commands import export_onnx, export_published, export_safetensors
from mmaffinity.commands.arguments import add_kinds

KINDS = {
    'onnx': export_onnx,
    'safetensors': export_safetensors,
    'published': export_published,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_kinds(parser, KINDS)


def run(args: argparse.Namespace) -> None:
    KINDS[args.kind].run(args)
