"""Write the table of the trained models listed in model-index.yml to docs/model_zoo.md.

Example:
    mmaffinity model-zoo model-index.yml --out docs/model_zoo.md
"""

import argparse

from mmaffinity.apis.model_zoo import write_model_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('index', nargs='?', default='model-index.yml', help='model index (default: model-index.yml)')
    parser.add_argument(
        '--out', metavar='FILE', default='docs/model_zoo.md', help='page with the table (default: docs/model_zoo.md)'
    )


def run(args: argparse.Namespace) -> None:
    write_model_table(args.index, args.out)
    print(f'Wrote {args.out}')
