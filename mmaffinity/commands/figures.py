"""Draw the paper's figures for your own runs, as PNG and PDF.

    mmaffinity figures affinity affinity_c8 epoch_10.pth epoch_100.pth --work-dir RUN
    mmaffinity figures ranks work_dirs/report/report.json

Without --slices, the slices are chosen from the results in RUN (mmaffinity test --out RUN/results.json).
"""

import argparse
from pathlib import Path

from mmaffinity.commands.arguments import add_config

MODEL_FIGURES = {
    'affinity': ('classification', 'Figure 4: Y of one slice per class, at each checkpoint'),
    'lesions': ('segmentation', 'Figure 6: boxes, scores and masks; mask scores; ground truth'),
    'evidence': ('classification', 'attribution of each class to the RoIs'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='figure', required=True)
    for name, (_, text) in MODEL_FIGURES.items():
        kind = kinds.add_parser(name, help=text)
        add_config(kind)
        several = name == 'affinity'
        kind.add_argument('checkpoints' if several else 'checkpoint', nargs='+' if several else None, help='weights')
        kind.add_argument(
            '--work-dir',
            help='work directory with the results from which slices are chosen (default: the folder of the last checkpoint)',
        )
        kind.add_argument('--slices', nargs='+', metavar='PATH', help='slices of the test set, by path or end of path')
        if name == 'lesions':
            kind.add_argument('--score-thr', type=float, default=0.5, help='lowest score to show (default: 0.5)')
    kind = kinds.add_parser('ranks', help='Figure 5: rank of each model under pairs of criteria')
    kind.add_argument('report', help='report.json of mmaffinity report')
    kind.add_argument('--published', action='store_true', help='also rank the published results')
    kind = kinds.add_parser('curves', help='losses and validation scores during training')
    kind.add_argument('work_dir', help='work directory of a training run')
    kind = kinds.add_parser('confusion', help='confusion matrices of finished runs')
    kind.add_argument('work_dirs', nargs='+', help='work directories with results*.json, or such files')
    for kind in kinds.choices.values():
        kind.add_argument('--out', default='work_dirs/figures', help='folder for the figures (default: work_dirs/figures)')


def run(args: argparse.Namespace) -> None:
    from mmaffinity.apis import figures

    if args.figure in MODEL_FIGURES:
        checkpoints = args.checkpoints if args.figure == 'affinity' else [args.checkpoint]
        slices = args.slices or figures.slices_to_show(
            args.work_dir or Path(checkpoints[-1]).parent, MODEL_FIGURES[args.figure][0]
        )
        if args.figure == 'affinity':
            files = figures.affinity_figure(args.config, checkpoints, args.out, slices, args.cfg_options)
        elif args.figure == 'lesions':
            files = figures.lesion_figure(args.config, checkpoints[0], args.out, slices, args.cfg_options, args.score_thr)
        else:
            files = figures.evidence_figures(args.config, checkpoints[0], args.out, slices, args.cfg_options)
    elif args.figure == 'ranks':
        files = figures.rank_figure(args.report, args.out, args.published)
    elif args.figure == 'curves':
        files = figures.curve_figure(args.work_dir, args.out)
    else:
        files = figures.confusion_figures(args.work_dirs, args.out)
    for file in files:
        print(file)
