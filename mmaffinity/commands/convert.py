"""Convert downloaded data sets and published checkpoints."""
import argparse

from mmaffinity.commands import convert_cncb_ncov, convert_ictcf, convert_published

KINDS = {
    'cncb-ncov': convert_cncb_ncov,
    'ictcf': convert_ictcf,
    'published': convert_published,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for name, module in KINDS.items():
        summary = (module.__doc__ or '').partition('\n')[0]
        module.add_arguments(kinds.add_parser(name, help=summary, description=module.__doc__,
                                              formatter_class=argparse.RawDescriptionHelpFormatter))


def run(args: argparse.Namespace) -> None:
    KINDS[args.kind].run(args)
