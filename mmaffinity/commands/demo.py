"""Run everything on synthetic slices: draw, convert, train, test, fine-tune on a second hospital, test.

Each step is a command, which is printed before it runs and can also be run by hand. An interrupted demo continues where it
stopped. The phantom replaces data that may not be redistributed; its scores say nothing about real CT.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

FIRST, SECOND = 'affinity_c8_steady_phantom', 'affinity_c8_steady_phantom_ictcf'
# Goals on held-out phantom patients: run, metric, its description, goal. A score lower by FAR means that something is broken.
GOALS = (
    (FIRST, 'slice/f1', 'class-adjusted F1, three classes', 0.90),
    (FIRST, 'lesion/AP50', 'lesion AP50', 0.50),
    (SECOND, 'slice/f1', 'class-adjusted F1 on the second hospital, two classes', 0.90),
)
FAR = 0.15
NUM_STEPS = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/demo'), help='folder for models and images (default: work_dirs/demo)'
    )
    parser.add_argument(
        '--data', type=Path, default=Path('data/phantom'), help='folder for the phantom (default: data/phantom)'
    )


class Steps:
    """Run the steps of the demo, each in its own process.

    Args:
        log: file for the output of the preparation steps.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.number = 0

    def __call__(self, title: str, *arguments: object, show: bool = True) -> None:
        """Print a command, and run it.

        Args:
            title: title of the step.
            arguments: arguments of ``mmaffinity``.
            show: show the output; otherwise it goes to the log.

        Raises:
            ValueError: if the command fails.
        """
        self.number += 1
        command = [str(argument) for argument in arguments]
        print(f'\n[{self.number}/{NUM_STEPS}] {title}\n$ mmaffinity {shlex.join(command)}', flush=True)
        start = time.monotonic()
        with open(self.log, 'a', encoding='utf-8') as file:
            done = subprocess.run([sys.executable, '-m', 'mmaffinity', *command], stdout=None if show else file)
        if done.returncode != 0:
            raise ValueError(f'the step "{title}" failed; its output is above' + ('' if show else f' and in {self.log}'))
        print(f'done in {time.monotonic() - start:.0f} s', flush=True)


def newest(folder: Path) -> Path:
    """Return the last checkpoint of a run."""
    return Path((folder / 'last_checkpoint').read_text().strip())


def check_goals(results: dict[str, dict]) -> None:
    """Compare the metrics of both runs with their goals.

    Raises:
        ValueError: if a goal is missed by more than ``FAR``.
    """
    missed = [
        f'{name} is {results[run][key]:.3f} (goal: {goal:.2f})'
        for run, key, name, goal in GOALS
        if not results[run][key] >= goal - FAR
    ]
    if missed:
        raise ValueError(
            f'the demo ran, but its models score far below the goal: {"; ".join(missed)}. Please report this with the '
            'output of mmaffinity check-env'
        )


def run(args: argparse.Namespace) -> None:
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    step = Steps(args.out / 'demo.log')
    pictures, first, second = args.out / 'pictures', args.out / FIRST, args.out / SECOND
    cncb, ictcf = args.data / 'cncb_ncov', args.data / 'ictcf'
    step(
        'Draw the phantom, two hospitals',
        'phantom',
        args.data,
        '--size',
        256,
        '--lesions-train',
        160,
        '--slices-train',
        320,
        '--slices-selected',
        240,
        show=False,
    )
    step('Convert the first hospital', 'convert', 'cncb-ncov', cncb, show=False)
    step('Convert the second hospital', 'convert', 'ictcf', ictcf, show=False)
    step(
        'Train on the first hospital',
        'train',
        FIRST,
        '--work-dir',
        first,
        '--resume',
        '--cfg-options',
        f'data_root={cncb}',
    )
    step(
        'Test on its held-out patients',
        'test',
        FIRST,
        newest(first),
        '--work-dir',
        first,
        '--out',
        first / 'results.json',
        '--html',
        first / 'test.html',
        '--show-dir',
        pictures / 'cncb_ncov',
        '--cfg-options',
        f'data_root={cncb}',
    )
    step(
        'Fine-tune on the second hospital',
        'train',
        SECOND,
        '--work-dir',
        second,
        '--resume',
        '--cfg-options',
        f'data_root={ictcf}',
        f'load_from={newest(first)}',
    )
    step(
        'Test on its held-out patients',
        'test',
        SECOND,
        newest(second),
        '--work-dir',
        second,
        '--out',
        second / 'results.json',
        '--html',
        second / 'test.html',
        '--show-dir',
        pictures / 'ictcf',
        '--cfg-options',
        f'data_root={ictcf}',
    )

    results = {folder.name: json.loads((folder / 'results.json').read_text())['metrics'] for folder in (first, second)}
    print(f'\nThe demo took {(time.monotonic() - start) / 60:.1f} minutes.')
    for name, key, text, goal in GOALS:
        print(f'{text}, on held-out phantom patients: {results[name][key]:.3f} (goal: {goal:.2f})')
    print(f'Overlays, confusion matrices and affinities are in {pictures.absolute()}; the log is {step.log}')
    print(f'Open {(first / "test.html").absolute()} in a browser to see the results and every tested slice')
    check_goals(results)
