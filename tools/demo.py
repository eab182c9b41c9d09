#!/usr/bin/env python
"""The whole way on synthetic slices: write the phantom, convert, train, test, fine-tune to a second hospital, test.

    make demo

Every step is a command that is printed before it runs and can be typed by hand. An interrupted demo goes on where it
stopped. The phantom stands for data that may not be redistributed; its scores say nothing about real CT.
"""
import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from mmaffinity.utils.cli import run_tool

ROOT = Path(__file__).resolve().parent.parent
# What the demo aims at on held-out phantom patients: run, metric, its name, goal. Something is broken if one is missed by far.
GOALS = ((0, 'slice/f1', 'class-adjusted F1, three classes', 0.90), (0, 'lesion/AP50', 'lesion AP50', 0.50),
         (1, 'slice/f1', 'class-adjusted F1 on the second hospital, two classes', 0.90))
FAR = 0.15


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Run the whole way on synthetic slices')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo'), help='folder for models and pictures')
    parser.add_argument('--data', type=Path, default=Path('data/phantom'), help='folder for the phantom')
    return parser.parse_args()


def step(title: str, script: str, *arguments: object) -> None:
    """Print a command and run it."""
    command = [script, *map(str, arguments)]
    print(f'\n=== {title}\n$ python {shlex.join(command)}', flush=True)
    start = time.time()
    done = subprocess.run([sys.executable, *command], cwd=ROOT)
    if done.returncode != 0:
        raise ValueError(f'the step "{title}" failed; its output is above')
    print(f'=== {title}: {time.time() - start:.0f} s', flush=True)


def newest(folder: Path) -> Path:
    """Return the checkpoint that a finished training left."""
    return Path((ROOT / folder / 'last_checkpoint').read_text().strip())


def check_goals(results: list[dict]) -> None:
    """Compare the metrics of both runs with the goals.

    Raises:
        ValueError: if a goal is missed by far.
    """
    missed = [f'{name} is {results[run][key]:.3f}, the goal {goal:.2f}' for run, key, name, goal in GOALS
              if not results[run][key] >= goal - FAR]
    if missed:
        raise ValueError(f'the demo ran, but its models are far worse than they should be: {"; ".join(missed)}. Please report '
                         'this with the output of python -m mmaffinity.check_env')


def main() -> None:
    args = parse_args()
    start = time.time()
    pictures = args.out / 'pictures'
    configs = [f'configs/affinity_c8_steady_phantom{suffix}.py' for suffix in ('', '_ictcf')]
    first, second = (args.out / Path(config).stem for config in configs)
    cncb, ictcf = args.data / 'cncb_ncov', args.data / 'ictcf'
    step('Write the phantom', 'tools/dataset_converters/phantom.py', args.data, '--size', 256,
         '--lesions-train', 160, '--slices-train', 320, '--slices-selected', 240)
    step('Convert its CNCB-NCOV part', 'tools/dataset_converters/cncb_ncov.py', cncb)
    step('Convert its iCTCF part', 'tools/dataset_converters/ictcf.py', ictcf)
    step('Train', 'tools/train.py', configs[0], '--work-dir', first, '--resume', '--cfg-options', f'data_root={cncb}')
    step('Test', 'tools/test.py', configs[0], newest(first), '--work-dir', first,
         '--out', first / 'results.json', '--show-dir', pictures / 'cncb_ncov', '--cfg-options', f'data_root={cncb}')
    step('Fine-tune to the second hospital', 'tools/train.py', configs[1], '--work-dir', second,
         '--resume', '--cfg-options', f'data_root={ictcf}', f'load_from={newest(first)}')
    step('Test there', 'tools/test.py', configs[1], newest(second), '--work-dir', second,
         '--out', second / 'results.json', '--show-dir', pictures / 'ictcf', '--cfg-options', f'data_root={ictcf}')

    results = [json.loads((ROOT / folder / 'results.json').read_text())['metrics'] for folder in (first, second)]
    print(f'\nThe demo took {(time.time() - start) / 60:.1f} minutes.')
    for run, key, name, goal in GOALS:
        print(f'{name}, on held-out phantom patients: {results[run][key]:.3f} (goal: {goal:.2f})')
    print(f'Overlays, confusion matrices and affinities are in {ROOT / pictures}')
    check_goals(results)


if __name__ == '__main__':
    run_tool(main)
