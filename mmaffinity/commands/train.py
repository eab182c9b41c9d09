"""Train a model.

Example:
    mmaffinity train affinity_c8
"""

import argparse
import sys
from pathlib import Path

from mmaffinity.commands.arguments import add_config, add_run_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('--work-dir', help='work directory, for checkpoints and logs (default: work_dirs/<name of the config>)')
    parser.add_argument(
        '--resume', action='store_true', help='resume from the newest complete checkpoint in the work directory'
    )
    parser.add_argument(
        '--amp', action='store_true', help='use automatic mixed precision, on a GPU or a processor with AVX-512 BF16 or AMX'
    )
    parser.add_argument('--seed', type=int, help="seed to use instead of the config's")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from mmaffinity.apis import train_model
    from mmaffinity.utils.config import load_config, work_folder

    config = load_config(args.config, args.cfg_options)
    try:
        runner = train_model(
            config,
            work_dir=args.work_dir,
            resume=args.resume,
            amp=args.amp,
            seed=args.seed,
            launcher=args.launcher,
            verbose=args.verbose,
        )
    except KeyboardInterrupt:
        folder = work_folder(config, args.work_dir)
        if is_main_process() and (Path(folder) / 'last_checkpoint').is_file():
            print(f'\nto continue from the last checkpoint in {folder}, add --resume', file=sys.stderr)
        raise
    if is_main_process():
        print(f'The checkpoints are in {runner.work_dir}, the log is {runner.logger.log_file}')
