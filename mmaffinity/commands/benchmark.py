"""Time a model: prediction in all modes, training, data loading, and the growth of time with input size.

    mmaffinity benchmark affinity_c8 --out work_dirs/speed.csv
    mmaffinity benchmark affinity_c8 --growth work_dirs/growth.png
    mmaffinity benchmark affinity_c8 --ablate
"""
import argparse
from collections.abc import Sequence

from mmaffinity.apis.ablation import ABLATIONS, ablate
from mmaffinity.apis.ablation import COLUMNS as ABLATION_COLUMNS
from mmaffinity.apis.benchmark import JOBS, MODES, PRECISIONS, TABLE, benchmark, format_rows
from mmaffinity.apis.growth import growth_exponent, measure_growth
from mmaffinity.commands.arguments import add_config
from mmaffinity.evaluation.functional import format_table
from mmaffinity.visualization.growth import draw_growth
from mmaffinity.visualization.saving import save_figure, write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('checkpoint', nargs='?', help='weights (default: random weights, which take the same time)')
    parser.add_argument('--jobs', nargs='+', choices=JOBS, default=JOBS, help='what to time (default: everything)')
    parser.add_argument('--batch-sizes', nargs='+', type=int, default=[1], help='slices per call')
    parser.add_argument('--objects', nargs='+', type=int, default=[24, 100], help='objects per slice')
    parser.add_argument('--threads', nargs='+', type=int, default=[None], help='threads (default: one per core)')
    parser.add_argument('--runs', type=int, default=20, help='number of timed calls; the median is reported')
    parser.add_argument('--warmup', type=int, default=3, help='untimed calls before them')
    parser.add_argument('--device', default='cpu', help='cpu, cuda (gpu), or cuda:1 (1) for the second GPU')
    parser.add_argument('--precision', choices=PRECISIONS, default='float32')
    parser.add_argument('--out', help='CSV file to write (default: only print a table)')
    parser.add_argument('--growth', metavar='PNG', help='plot the growth of time instead')
    parser.add_argument('--ablate', nargs='*', choices=ABLATIONS, metavar='CHANGE',
                        help='instead, time the model with one change at a time; by default with each of: '
                             f'{", ".join(ABLATIONS)}')


def run(args: argparse.Namespace) -> None:
    if args.growth:
        measured = measure_growth(args.config, num_threads=args.threads[0], device=args.device, overrides=args.cfg_options)
        save_figure(draw_growth(measured), args.growth)
        for name, (values, seconds) in measured.items():
            times = ', '.join(f'{value}: {1000 * second:.0f} ms' for value, second in zip(values, seconds))
            print(f'{name}: {times}; steepest exponent {growth_exponent(values, seconds):.2f}')
        return
    if args.ablate is not None:
        rows = ablate(args.config, args.checkpoint, args.ablate or tuple(ABLATIONS), [job for job in args.jobs if job in MODES],
                      args.batch_sizes[0], args.objects[0], args.runs, args.warmup, args.threads[0], args.device,
                      args.cfg_options)
        print_rows(rows, ABLATION_COLUMNS)
        return
    rows = []
    for row in benchmark(args.config, args.checkpoint, args.jobs, args.batch_sizes, args.objects, args.threads, args.runs,
                         args.warmup, args.device, args.precision, args.cfg_options):
        rows.append(row)
        if args.out:
            write_atomically(args.out, format_rows(rows).encode())
    print_rows(rows, TABLE)


def print_rows(rows: list[dict], columns: Sequence[str]) -> None:
    cells = [['' if row[key] is None else f'{row[key]:.3g}' if isinstance(row[key], float) else str(row[key])
              for key in columns] for row in rows]
    print(format_table([key.replace('_', ' ') for key in columns], cells))
