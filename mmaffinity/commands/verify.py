"""Verify the data of a config: leakage between splits, damaged files, duplicates, annotations, fingerprints.

    mmaffinity verify affinity_c8 --out work_dirs/verification.json

Exit codes: 0 passed, 1 failed, 2 usage error. docs/data.md describes the checks.
"""

import argparse
import sys

from mmaffinity.commands.arguments import add_config
from mmaffinity.commands.data_arguments import add_near_arguments, near_options
from mmaffinity.datasets.verification.findings import CHECKS
from mmaffinity.datasets.verification.near import Near
from mmaffinity.utils.console import ProgressLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument('--out', metavar='FILE', help='write the report as JSON')
    parser.add_argument('--html', metavar='FILE', help='write a page of findings with images, to open in a browser')
    parser.add_argument(
        '--allow',
        nargs='+',
        default=[],
        metavar='CHECK',
        action='extend',
        help=f'accept the findings of these checks: {", ".join(CHECKS)}',
    )
    parser.add_argument('--strict', action='store_true', help='treat warnings as failures')
    parser.add_argument('--lists-only', action='store_true', help='do not read slices; check lists, classes and lesions only')
    parser.add_argument(
        '--cache',
        default='work_dirs/verify_dataset_cache.jsonl',
        metavar='FILE',
        help='cache of facts about files, so that later or resumed runs read only new files '
        '(default: work_dirs/verify_dataset_cache.jsonl)',
    )
    parser.add_argument('--no-cache', action='store_true', help='read every file, and cache nothing')
    parser.add_argument('--workers', type=int, help='number of reader processes (default: one per core)')
    add_near_arguments(parser, Near())


def run(args: argparse.Namespace) -> int:
    from mmaffinity.apis.verification_page import verification_page
    from mmaffinity.datasets.verification import verify_config
    from mmaffinity.utils.config import load_config

    progress = ProgressLine('reading', 'files')
    try:
        report = verify_config(
            load_config(args.config, args.cfg_options),
            args.allow,
            args.strict,
            not args.lists_only,
            None if args.no_cache else args.cache,
            args.workers,
            near_options(args),
            progress,
        )
    except KeyboardInterrupt:
        if not args.no_cache:
            progress.close()
            print(f'the same command resumes from {args.cache}', file=sys.stderr)
        raise
    finally:
        progress.close()
    for line in report.sentences():
        print(line)
    if report.reading and report.reading['read']:
        reading = report.reading
        print(
            f'{reading["read"]} of {reading["files"]} files read in {reading["seconds"]:.1f} s, '
            f'{reading["seconds"] / reading["read"] * 1000:.2f} ms each'
        )
    if args.out:
        report.write(args.out)
        print(f'The report is in {args.out}')
    if args.html:
        print(f'Open {verification_page(report, args.html)} in a browser')
    return 0 if report.passed else 1
