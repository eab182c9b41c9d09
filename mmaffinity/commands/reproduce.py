"""Run a whole study: all training runs, tests, tables and figures of the paper, or of your own plan.

    mmaffinity reproduce DATA_ROOT --out work_dirs/paper
    mmaffinity reproduce --phantom --out work_dirs/phantom
    mmaffinity reproduce DATA_ROOT --plan my_study.py --out work_dirs/my_study --launcher slurm

DATA_ROOT contains cncb_ncov/ and ictcf/. The same command resumes an interrupted study. docs/reproduce.md describes plans.
"""

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmaffinity.apis.plans import Plan
    from mmaffinity.apis.plans.folder import PlanFolder

PAPER, PHANTOM = 'plans/paper', 'plans/phantom'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('data_root', nargs='?', help='folder with cncb_ncov/ and ictcf/, or with the data of the plan')
    parser.add_argument('--plan', help='name or path of a plan (default: plans/paper)')
    parser.add_argument('--phantom', action='store_true', help="run a small version of the paper's plan on synthetic slices")
    parser.add_argument('--out', required=True, help='folder for the runs and the report')
    parser.add_argument('--seeds', type=int, default=1, metavar='N', help='train each model with N seeds (default: 1)')
    parser.add_argument('--launcher', choices=['local', 'slurm'], default='local', help='where to run (default: local)')
    parser.add_argument('--jobs', type=int, metavar='N', help='simultaneous runs (default: one per GPU; with SLURM, no limit)')
    parser.add_argument(
        '--slurm-options',
        default='',
        metavar='OPTIONS',
        help='options of sbatch, in quotes, for example "--partition=gpu --gpus=1 --time=24:00:00"',
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='only print the remaining commands; with --launcher slurm, write the scripts without submitting them',
    )
    parser.add_argument('--collect', action='store_true', help='only write the report on finished runs')


def run(args: argparse.Namespace) -> int:
    from mmaffinity.apis.plans import run_locally
    from mmaffinity.apis.plans.folder import PlanFolder, plan_arguments
    from mmaffinity.scans.output_folder import OutputFolder

    folder = PlanFolder(_plan(args), args.out)
    for name, reason in folder.plan.left_out.items():
        print(f'skipped {name}: {reason}', flush=True)
    collecting = [*plan_arguments(folder.plan, folder.out, args.phantom), '--collect']
    if args.dry_run and args.launcher == 'local':
        _print_commands(folder, collecting)
        return 0
    if args.collect:  # without the lock, so that a report can be written while the plan runs
        folder.claim()
        return _report(folder, {})
    with OutputFolder(args.out).lock():
        folder.claim()
        if args.launcher == 'slurm':
            return _slurm(folder, collecting, args)
        failed = run_locally(folder, args.jobs, progress=partial(print, flush=True))
        return _report(folder, failed)


def _plan(args: argparse.Namespace) -> 'Plan':
    from mmaffinity.apis.plans import read_plan

    if args.phantom:
        if args.data_root or args.plan:
            raise ValueError('--phantom has its own plan and draws its own data: omit DATA_ROOT and --plan')
        return read_plan(PHANTOM, Path(args.out) / 'data', args.seeds)
    if not args.data_root:
        raise ValueError('missing DATA_ROOT: give the folder that contains cncb_ncov/ and ictcf/, or use --phantom')
    if not Path(args.data_root).is_dir():
        raise FileNotFoundError(f'the folder {args.data_root} does not exist')
    return read_plan(args.plan or PAPER, args.data_root, args.seeds)


def _print_commands(folder: 'PlanFolder', collecting: list[str]) -> None:
    from mmaffinity.apis.plans.folder import command_line
    from mmaffinity.apis.plans.page import commands

    for command in commands(folder, unfinished=True):
        print(command)
    print(command_line(collecting))


def _slurm(folder: 'PlanFolder', collecting: list[str], args: argparse.Namespace) -> int:
    from mmaffinity.apis.plans.local import prepare
    from mmaffinity.apis.plans.slurm import submit, write_scripts

    options = shlex.split(args.slurm_options)
    if args.dry_run:
        script = write_scripts(folder, collecting, args.jobs, options)
        print(f'The scripts are in {script.parent}; submit them with: bash {script}')
        return 0
    prepare(folder, partial(print, flush=True))
    jobs = submit(folder, collecting, args.jobs, options)
    print(
        f'Submitted {len(jobs)} jobs: {", ".join(jobs)}. The scripts and logs are in {folder.out / "slurm"}; the last job '
        f'writes {folder.report}'
    )
    return 0


def _report(folder: 'PlanFolder', failed: dict[str, str]) -> int:
    from mmaffinity.apis.plans import collect

    for name, reason in failed.items():
        print(f'{name} did not finish: {reason}', file=sys.stderr)
    print(f'The report is {collect(folder, failed)}')
    unfinished = [run.name for run in folder.plan.runs if not folder.done(run)]
    return 1 if failed or unfinished else 0
