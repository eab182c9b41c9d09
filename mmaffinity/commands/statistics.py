"""Compute the mean and standard deviation of the grey levels of a config's training slices.

    mmaffinity statistics my_slices.py

The values are written to the file that model.data_preprocessor.statistics names in the config, by default
annotations/statistics.json below data_root, and used in every training run with normalization='global'. Training computes
missing values itself; this command stores them with the data.
"""

import argparse

from mmaffinity.commands.arguments import add_config
from mmaffinity.utils.console import NamedProgress
from mmaffinity.utils.wording import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('--out', metavar='FILE', help='file to write instead of the one named in the config')
    parser.add_argument('--overwrite', action='store_true', help='replace a file with other values')
    parser.add_argument('--workers', type=int, metavar='N', help='reader threads (default: one per core, at most eight)')


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis.statistics import write_statistics
    from mmaffinity.utils.config import load_config

    written = write_statistics(
        load_config(args.config, args.cfg_options), args.out, args.overwrite, args.workers, NamedProgress()
    )
    content = written.content
    print(
        f'{plural(content["num_slices"], "training slice")} ({content["source"]}): mean {content["mean"]:.6f}, standard '
        f'deviation {content["std"]:.6f} of grey levels from 0 to 1'
    )
    print(f'{written.file} already has these values' if written.was_there else f'Wrote {written.file}')
