"""Write a model for others: as safetensors and JSON, or in the layout of the published checkpoints."""
import argparse

from mmaffinity.commands import export_published, export_safetensors

KINDS = {
    'safetensors': export_safetensors,
    'published': export_published,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for name, module in KINDS.items():
        summary = (module.__doc__ or '').partition('\n')[0]
        module.add_arguments(kinds.add_parser(name, help=summary, description=module.__doc__,
                                              formatter_class=argparse.RawDescriptionHelpFormatter))


def run(args: argparse.Namespace) -> None:
    KINDS[args.kind].run(args)
