"""Time a model: prediction in all modes, training, data loading, and how time grows with input size.

Examples:
    mmaffinity benchmark affinity_c8 --out work_dirs/speed.csv
    mmaffinity benchmark affinity_c8 --growth work_dirs/growth.png
    mmaffinity benchmark affinity_c8 --ablate
    mmaffinity benchmark affinity_c8 --backends --out work_dirs/backends.csv
    mmaffinity benchmark affinity_c8 epoch_100.pth --scan SCAN_FOLDER --workers 0 1 2
"""

import argparse
from collections.abc import Iterable

from mmaffinity.apis.timed import ABLATIONS, ENGINES, JOBS, MODES, PRECISIONS
from mmaffinity.commands.arguments import add_config
from mmaffinity.utils.tables import format_table

# Kinds of measurement other than the table of jobs, and the options that they do not use.
UNUSED = {
    'ablate': ('precision', 'workers'),
    'backends': ('batch_sizes', 'device', 'precision', 'workers'),
    'growth': ('batch_sizes', 'checkpoint', 'jobs', 'objects', 'out', 'precision', 'runs', 'warmup', 'workers'),
    'scan': ('jobs', 'objects', 'runs', 'warmup'),
}
# Options of which each of these kinds uses one value.
LISTS = ('batch_sizes', 'objects', 'threads')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('checkpoint', nargs='?', help='weights (default: random, which take the same time)')
    parser.add_argument('--jobs', nargs='+', choices=JOBS, help='what to time (default: everything)')
    parser.add_argument('--batch-sizes', nargs='+', type=int, default=[1], help='slices per call (default: 1)')
    parser.add_argument('--objects', nargs='+', type=int, default=[24, 100], help='objects per slice (default: 24 100)')
    parser.add_argument('--threads', nargs='+', type=int, default=[None], help='threads (default: one per core)')
    parser.add_argument('--runs', type=int, default=20, help='timed calls, of which the median is reported (default: 20)')
    parser.add_argument('--warmup', type=int, default=3, help='untimed calls before the timed ones (default: 3)')
    parser.add_argument('--device', default='cpu', help='cpu, cuda (gpu), or cuda:1 (1) for the second GPU (default: cpu)')
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='float32',
        help='float32, or automatic mixed precision (default: float32)',
    )
    parser.add_argument('--out', help='CSV file for the table, except with --growth (default: only print the table)')
    parser.add_argument(
        '--growth', metavar='PNG', help='instead, plot how time grows with slices, objects, RoIs and affinities'
    )
    parser.add_argument(
        '--ablate',
        nargs='*',
        choices=ABLATIONS,
        metavar='CHANGE',
        help=f'instead, time the model with one change at a time (default: each of {", ".join(map(repr, ABLATIONS))})',
    )
    parser.add_argument(
        '--backends',
        nargs='*',
        choices=ENGINES,
        metavar='BACKEND',
        help='instead, time one slice in each backend, in every precision that the backend and the processor support '
        f'(default: those installed of {", ".join(ENGINES)})',
    )
    parser.add_argument(
        '--scan',
        metavar='INPUT',
        help='instead, time the prediction of scans, and how long the network waits for slices; needs a checkpoint',
    )
    parser.add_argument('--workers', nargs='+', type=int, default=[0, 1], help='reader processes, for --scan (default: 0 1)')


def check_options(args: argparse.Namespace) -> None:
    """Reject combinations of options in which some have no effect.

    Raises:
        ValueError: if more than one kind of measurement is requested, if the requested kind does not use a given option, or if
            an option has several values but the kind uses only the first.
    """
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = {name for name, value in vars(args).items() if value != parser.get_default(name)}
    kinds = sorted(given & set(UNUSED))
    if len(kinds) > 1:
        raise ValueError(f'--{" and --".join(kinds)} measure different things: give one of them')
    if kinds:
        unused = [f'--{name.replace("_", "-")}' for name in sorted(given & set(UNUSED[kinds[0]]))]
        unused += [
            f'more than one value of --{name.replace("_", "-")}'
            for name in LISTS
            if name in given and len(getattr(args, name)) > 1
        ]
        if unused:
            raise ValueError(f'--{kinds[0]} does not use {", ".join(unused)}: omit it')


def run(args: argparse.Namespace) -> None:
    check_options(args)
    from mmaffinity.apis import ablation, backend_benchmark, benchmark, scan_benchmark

    if args.growth:
        from mmaffinity.apis.growth import growth_exponent, measure_growth
        from mmaffinity.visualization.growth import draw_growth
        from mmaffinity.visualization.saving import save_figure

        measured = measure_growth(args.config, num_threads=args.threads[0], device=args.device, overrides=args.cfg_options)
        save_figure(draw_growth(measured), args.growth)
        for name, (values, seconds) in measured.items():
            times = ', '.join(f'{value}: {1000 * second:.0f} ms' for value, second in zip(values, seconds))
            print(f'{name}: {times}; steepest exponent {growth_exponent(values, seconds):.2f}')
        return
    if args.scan:
        if args.checkpoint is None:
            raise ValueError('--scan needs a checkpoint: mmaffinity benchmark CONFIG CHECKPOINT --scan INPUT')
        from mmaffinity.apis import AffinityInferencer
        from mmaffinity.utils.cores import available_cores
        from mmaffinity.utils.timing import threads

        inferencer = AffinityInferencer(
            args.config,
            args.checkpoint,
            args.device,
            args.batch_sizes[0],
            cfg_options=args.cfg_options,
            precision=args.precision,
        )
        with threads(args.threads[0] or available_cores()):
            print_as_measured(scan_benchmark.time_scans(inferencer, args.scan, args.workers), args.out)
        return
    if args.ablate is not None:
        rows = ablation.ablate(
            args.config,
            args.checkpoint,
            args.ablate or tuple(ABLATIONS),
            args.jobs or MODES,
            args.batch_sizes[0],
            args.objects[0],
            args.runs,
            args.warmup,
            args.threads[0],
            args.device,
            args.cfg_options,
        )
        print_as_measured(rows, args.out)
        return
    if args.backends is not None:
        print_as_measured(
            backend_benchmark.benchmark_backends(
                args.config,
                args.checkpoint,
                args.backends,
                args.jobs or ('classification', 'both'),
                args.objects[0],
                args.runs,
                args.warmup,
                args.threads[0],
                args.cfg_options,
            ),
            args.out,
            backend_benchmark.PRINTED,
        )
        return
    print_as_measured(
        benchmark.benchmark(
            args.config,
            args.checkpoint,
            args.jobs or JOBS,
            args.batch_sizes,
            args.objects,
            args.threads,
            args.runs,
            args.warmup,
            args.device,
            args.precision,
            args.cfg_options,
        ),
        args.out,
        benchmark.PRINTED,
    )


def print_as_measured(measured: Iterable[dict], out: str | None, num_printed: int | None = None) -> None:
    """Write the CSV file after every row, and print the first columns (by default all) at the end."""
    from mmaffinity.apis.benchmark import format_rows
    from mmaffinity.visualization.saving import write_atomically

    rows = []
    for row in measured:
        rows.append(row)
        if out:
            write_atomically(out, format_rows(rows).encode())
    shown = list(rows[0])[:num_printed]
    cells = [
        ['' if row[key] is None else f'{row[key]:.3g}' if isinstance(row[key], float) else str(row[key]) for key in shown]
        for row in rows
    ]
    print(format_table([key.replace('_', ' ') for key in shown], cells))
