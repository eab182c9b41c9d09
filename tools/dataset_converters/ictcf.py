#!/usr/bin/env python3
"""Convert the raw iCTCF download and the published lists: slice lists, statistics."""
import argparse
import sys

from mmaffinity.datasets.conversion import convert_ictcf


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data_root', help='folder with the unpacked nCT/ and pCT/; the result goes to its annotations/')
    parser.add_argument('--lists', nargs='+', metavar='DIR', default=[],
                        help='folders with the lists under their published names (default: DATA_ROOT/lists)')
    parser.add_argument('--train-list', metavar='FILE', help="the author's training list")
    parser.add_argument('--test-list', metavar='FILE', help="the author's test list")
    parser.add_argument('--skip-statistics', action='store_true', help='do not compute mean and std of the grey levels')
    parser.add_argument('--no-check-files', action='store_true', help='do not look for the listed slices')
    parser.add_argument('--workers', type=int, metavar='N', help='threads (default: one per core, eight at most)')
    return parser.parse_args()


def show_progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 50 == 0 or done == total):
        print(f'\r{what}: {done} of {total}', end='\n' if done == total else '', file=sys.stderr, flush=True)


def main() -> None:
    args = parse_args()
    try:
        summary = convert_ictcf(
            args.data_root,
            train_list=args.train_list,
            test_list=args.test_list,
            list_folders=args.lists,
            skip_statistics=args.skip_statistics,
            check_files=not args.no_check_files,
            workers=args.workers,
            progress=show_progress)
    except (OSError, ValueError) as error:
        sys.exit(f'ictcf.py: {error}')
    except KeyboardInterrupt:
        sys.exit('ictcf.py: interrupted, nothing was written')
    print(summary.table())


if __name__ == '__main__':
    main()
