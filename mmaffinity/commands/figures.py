"""Figures of the paper for one's own runs, as PNG and PDF.

    mmaffinity figures affinity affinity_c8 epoch_10.pth epoch_100.pth --work-dir RUN
    mmaffinity figures ranks work_dirs/report/report.json

Where slices are not named, they are chosen by the results.json of RUN (mmaffinity test --out RUN/results.json).
"""
import argparse
from pathlib import Path

from mmaffinity.apis import figures
from mmaffinity.utils.cli import ConfigOptions

MODEL_FIGURES = {'affinity': ('classification', 'Figure 4: Y for a slice of each class, at each checkpoint'),
                 'lesions': ('segmentation', 'Figure 6: boxes, scores, masks; mask scores; ground truth'),
                 'evidence': ('classification', 'share of each RoI in the evidence for each class')}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='figure', required=True)
    for name, (_, text) in MODEL_FIGURES.items():
        kind = kinds.add_parser(name, help=text)
        kind.add_argument('config')
        several = name == 'affinity'
        kind.add_argument('checkpoints' if several else 'checkpoint', nargs='+' if several else None)
        kind.add_argument('--work-dir', help='finished run, whose results choose the slices (default: the folder of '
                          'the last checkpoint)')
        kind.add_argument('--slices', nargs='+', metavar='PATH', help='slices of the test set, by path or its end')
        kind.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                          help='override config fields')
        if name == 'lesions':
            kind.add_argument('--score-thr', type=float, default=0.5, help='lowest score shown (default: 0.5)')
    kind = kinds.add_parser('ranks', help='Figure 5: rank of each model for pairs of criteria')
    kind.add_argument('report', help='report.json of mmaffinity report')
    kind.add_argument('--published', action='store_true', help='rank the published figures too')
    kind = kinds.add_parser('curves', help='losses and validation scores over training')
    kind.add_argument('work_dir')
    kind = kinds.add_parser('confusion', help='confusion matrices of finished runs')
    kind.add_argument('work_dirs', nargs='+')
    for kind in kinds.choices.values():
        kind.add_argument('--out', default='work_dirs/figures',
                          help='folder for the figures (default: work_dirs/figures)')


def run(args: argparse.Namespace) -> None:
    if args.figure in MODEL_FIGURES:
        checkpoints = args.checkpoints if args.figure == 'affinity' else [args.checkpoint]
        slices = args.slices or figures.slices_to_show(args.work_dir or Path(checkpoints[-1]).parent,
                                                       MODEL_FIGURES[args.figure][0])
        if args.figure == 'affinity':
            files = figures.affinity_figure(args.config, checkpoints, args.out, slices, args.cfg_options)
        elif args.figure == 'lesions':
            files = figures.lesion_figure(args.config, checkpoints[0], args.out, slices, args.cfg_options,
                                          args.score_thr)
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
