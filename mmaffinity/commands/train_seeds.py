"""Train and test a config with several seeds. The same command resumes an interrupted series.

Examples:
    mmaffinity train-seeds affinity_c8_steady_phantom --seeds 5
    mmaffinity report work_dirs/affinity_c8_steady_phantom_seeds/seed_* --out work_dirs/report
"""

import argparse
import statistics
from functools import partial

from mmaffinity.commands.arguments import add_config
from mmaffinity.utils.tables import format_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('--seeds', type=int, default=5, help='number of seeds (default: 5)')
    parser.add_argument('--first', type=int, default=0, help='first seed; the others are consecutive (default: 0)')
    parser.add_argument(
        '--work-dir', help='folder for the runs, one subfolder per seed (default: work_dirs/<name of the config>_seeds)'
    )
    parser.add_argument(
        '--gpus',
        nargs='+',
        default=[],
        metavar='INDEX',
        help='run one training per GPU on these GPUs (default: one after another)',
    )


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis.seeds import spread_of_seeds, train_seeds

    seeds = range(args.first, args.first + args.seeds)
    found = spread_of_seeds(
        train_seeds(args.config, seeds, args.work_dir, args.cfg_options, args.gpus, progress=partial(print, flush=True))
    )
    rows = [
        [
            name,
            f'{statistics.mean(values):.3f}',
            f'{statistics.stdev(values):.3f}' if len(values) > 1 else '-',
            f'{min(values):.3f}',
            f'{max(values):.3f}',
            ' '.join(f'{value:.3f}' for value in values),
        ]
        for name, values in found.items()
    ]
    print(format_table(['metric', 'mean', 'std', 'lowest', 'highest', f'seeds {seeds[0]} to {seeds[-1]}'], rows))
