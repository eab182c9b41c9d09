"""Write the phantom: synthetic chest-CT slices in the raw layouts and lists of CNCB-NCOV and iCTCF.

It stands for data that may not be redistributed; it is never a source of results.

    python tools/dataset_converters/phantom.py data/phantom --size 256
"""
import argparse
import sys
import time
from dataclasses import fields

from mmaffinity.datasets.phantom import PhantomSettings, write_phantom

HELP = {
    'seed': 'seed of all patients',
    'size': 'side of the slices, pixels',
    'slices_per_patient': 'neighbouring slices of each patient',
    'lesions_train': 'training slices with lesion masks',
    'lesions_test': 'test slices with lesion masks',
    'slices_train': 'training slices with class labels',
    'slices_selected': 'how many of them the balanced training list names; the rest is left out',
    'slices_val': 'validation slices with class labels',
    'slices_test': 'test slices with class labels',
    'ictcf_train': 'training slices of the second hospital',
    'ictcf_test': 'test slices of the second hospital',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out_dir', nargs='?', default='data/phantom', help='folder to write (default: data/phantom)')
    for field in fields(PhantomSettings):
        parser.add_argument('--' + field.name.replace('_', '-'), type=int, default=field.default, metavar='N',
                            help=f'{HELP[field.name]} (default: {field.default})')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace a phantom of other settings in that folder, with what was converted from it')
    return parser.parse_args()


class Bar:
    """Progress and time left on stderr: one moving line on a terminal, a line per tenth elsewhere."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        terminal = sys.stderr.isatty()
        if not terminal and done != total and done * 10 // total == (done - 1) * 10 // total:
            return
        left = (time.monotonic() - self.start) / done * (total - done)
        filled = 30 * done // total
        sys.stderr.write(f'{chr(13) if terminal else ""}[{"#" * filled}{"." * (30 - filled)}] {done}/{total} slices, '
                         f'{left:.0f} s left{"" if terminal and done < total else chr(10)}')
        sys.stderr.flush()


def main() -> None:
    args = vars(parse_args())
    try:
        summary = write_phantom(args.pop('out_dir'), progress=Bar(), **args)
    except (ValueError, OSError) as error:
        raise SystemExit(f'phantom.py: {error}') from error
    for split, classes in summary.slices.items():
        counts = ', '.join(f'{count} {name}' for name, count in classes.items() if count)
        print(f'{split}: {sum(classes.values())} slices of {summary.patients[split]} patients ({counts})')
    print(f'{summary.out_dir}: {summary.written} files written, {summary.kept} kept')


if __name__ == '__main__':
    main()
