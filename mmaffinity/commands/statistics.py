"""Compute the mean and standard deviation of the grey levels of a config's training slices.

    mmaffinity statistics my_slices.py

The result goes to the file that model.data_preprocessor.statistics of the config names, by default
annotations/statistics.json below data_root, for every training with normalization='global'. Training computes what is
missing by itself; this command keeps it with the data.
"""
import argparse

from mmaffinity.apis.statistics import write_statistics
from mmaffinity.utils.cli import ConfigOptions
from mmaffinity.utils.config import load_config
from mmaffinity.utils.console import NamedProgress
from mmaffinity.utils.wording import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='name or path of a config, for example affinity_c8')
    parser.add_argument('--out', metavar='FILE', help="file to write instead of the config's")
    parser.add_argument('--overwrite', action='store_true', help='replace a file with other values')
    parser.add_argument('--workers', type=int, metavar='N', help='threads that read (default: one per core, eight at most)')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields, for example data_root=/data/my_slices')


def run(args: argparse.Namespace) -> None:
    written = write_statistics(load_config(args.config, args.cfg_options), args.out, args.overwrite, args.workers,
                               NamedProgress())
    content = written.content
    print(f'{plural(content["num_slices"], "training slice")} ({content["source"]}): mean {content["mean"]:.6f}, standard '
          f'deviation {content["std"]:.6f} of grey levels from 0 to 1')
    print(f'{written.file} {"holds these values already" if written.was_there else "was written"}')
