"""Build Tables 3, 4, 5 and 7 of the paper from finished runs, with intervals, comparisons and calibration.

Example:
    mmaffinity report work_dirs/affinity_c8 work_dirs/resnet18_slice --out work_dirs/report
"""

import argparse
from functools import partial


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'work_dirs',
        nargs='+',
        metavar='WORK_DIR',
        help='work directories with results*.json from mmaffinity test --out, or such files',
    )
    parser.add_argument('--out', default='work_dirs/report', help='folder for the report (default: work_dirs/report)')
    parser.add_argument(
        '--external',
        action='append',
        default=[],
        metavar='NAME=FILE',
        help='confusion matrix or predictions of an external system; see docs/report.md',
    )
    parser.add_argument('--resamples', type=int, default=1000, help='number of bootstrap resamples (default: 1000)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the bootstrap (default: 0)')
    parser.add_argument(
        '--class-weights',
        type=float,
        nargs='+',
        metavar='W',
        help='class weights of the class-adjusted F1, such as 0.45 0.35 0.20 (default: class shares)',
    )
    parser.add_argument(
        '--html',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='write report.html, which shows the slices of all runs (default: yes)',
    )


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis.report import write_report

    external = {}
    for pair in args.external:
        name, _, file = pair.partition('=')
        if not name or not file:
            raise ValueError(f'--external takes NAME=FILE, not {pair!r}')
        if name in external:
            raise ValueError(f'--external {name} is given twice: choose another name for one of the files')
        external[name] = file
    files = write_report(
        args.work_dirs,
        args.out,
        external,
        args.resamples,
        args.seed,
        args.class_weights or 'share',
        progress=partial(print, flush=True),
        html=args.html,
    )
    for file in files.values():
        print(file)
