"""Write the page of a plan in Markdown: runs, differences from the paper, results, data and commands."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmaffinity import __version__
from mmaffinity.apis.data_record import FILE as TRAINING_DATA
from mmaffinity.utils.provenance import NOTICE
from mmaffinity.utils.tables import markdown_table
from mmaffinity.utils.wording import plural

from .folder import PlanFolder, command_line
from .plan import Run

# Number of slices in the paper's test lists, and the tables with their results.
PAPER_LISTS: dict[str, tuple[str, tuple[int, ...]]] = {
    'lesions_test.json': ('Table 3', (100,)),
    'slices_test.json': ('Tables 4 and 7', (21191, 12976)),
    'slices_train_left_out.json': ('Table 5', (58782,)),
}


@dataclass
class Part:
    """A table or figure.

    Attributes:
        title: heading.
        files: files in the report's folder.
        problem: why it is missing; None if it is not.
    """

    title: str
    files: Sequence[Path]
    problem: str | None = None


def page_text(folder: PlanFolder, parts: Sequence[Part], failed: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        folder: folder of the plan.
        parts: tables and figures.
        failed: reason for each run that did not finish.
    """
    plan = folder.plan
    results = {run.name: content for run in plan.runs if (content := _results(folder, run))}
    sections = [
        f'# {plan.title}',
        f'{NOTICE} Written by mmaffinity {__version__} from the plan `{plan.path.name}`.',
        '## Runs',
        _runs(folder, failed),
        '## What differs from the paper',
        '\n'.join(f'* {line}' for line in _differences(folder, results)),
        *_tables_and_figures(folder, parts),
        '## Data',
        _data(folder, results),
        '## Versions',
        _versions(results),
        '## Commands',
        'Each command can also be run on its own.',
        '```bash',
        '\n'.join(commands(folder)),
        '```',
    ]
    return '\n\n'.join(sections).replace('```bash\n\n', '```bash\n').replace('\n\n```', '\n```') + '\n'


def commands(folder: PlanFolder, unfinished: bool = False) -> Iterator[str]:
    """Yield the commands of a plan, in an order in which they can be run.

    Args:
        folder: folder of the plan.
        unfinished: yield only the commands that are not done.
    """
    for step in folder.preparation():
        if not (unfinished and step.done):
            yield command_line(step.arguments)
    for run in folder.plan.runs:
        if unfinished and folder.done(run):
            continue
        for step in folder.steps(run):
            if not (unfinished and step.done):
                yield command_line(step.arguments)


def _results(folder: PlanFolder, run: Run) -> dict[str, dict]:
    return {
        name: json.loads((folder.of(run.name) / f'{name}.json').read_text(encoding='utf-8'))
        for name in run.tests
        if (folder.of(run.name) / f'{name}.json').is_file()
    }


def _runs(folder: PlanFolder, failed: Mapping[str, str]) -> str:
    rows = [(run.name, run.config, run.seed, failed.get(run.name) or folder.state(run)) for run in folder.plan.runs]
    left_out = [(name, '', '', f'skipped: {reason}') for name, reason in folder.plan.left_out.items()]
    return markdown_table(['run', 'config', 'seed', 'state'], [*rows, *left_out], 'llrl')


def _differences(folder: PlanFolder, results: Mapping[str, Mapping[str, dict]]) -> Iterator[str]:
    plan = folder.plan
    yield (
        'The published code differs from the paper in some points; the configs follow the paper unless they are named '
        '`published/...`. The paper reports one run per model, without intervals; here, intervals are over patients.'
    )
    lists = {
        (task, entry['ann_files'][0].rsplit('/', 1)[-1], entry['num'], entry['synthetic'])
        for tests in results.values()
        for content in tests.values()
        for task, entry in content['lists'].items()
    }
    if any(synthetic for *_, synthetic in lists):
        yield '**The slices are synthetic.** Their scores show that the code works; they say nothing about real CT.'
    for _, name, number, _ in sorted(lists):
        table, published = PAPER_LISTS.get(name, ('', ()))
        if table and number not in published:
            theirs = ' and '.join(map(str, published))
            yield f'{table}: tested on {plural(number, "slice")} of `{name}`; the paper used {theirs}.'
    changed = sorted({run.name for run in plan.runs if set(run.options) - {'data_root'}})
    if changed:
        yield f'Runs that override fields of their config (see the commands): {", ".join(changed)}.'
    missing = [*(run.name for run in plan.runs if not folder.done(run)), *plan.left_out]
    if missing:
        yield f'Not in the tables: {", ".join(missing)}.'


def _tables_and_figures(folder: PlanFolder, parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        if part.problem is not None:
            yield f'## {part.title}\n\nMissing: {part.problem}'
            continue
        for file in part.files:
            if file.suffix == '.md':
                # Without its title; the other headings keep their level.
                yield file.read_text(encoding='utf-8').partition('\n')[2].strip()
        pictures = [file for file in part.files if file.suffix == '.png']
        if pictures:
            yield f'## {part.title}'
            yield from (f'![{part.title}]({file.relative_to(folder.report).as_posix()})' for file in pictures)


def _data(folder: PlanFolder, results: Mapping[str, Mapping[str, dict]]) -> str:
    tested = {}
    for tests in results.values():
        for content in tests.values():
            digest = (content.get('data_fingerprint') or {}).get('content_sha256')
            for entry in content['lists'].values():
                files = ', '.join(entry['ann_files'])
                tested[entry['sha256']] = files, entry['num'], f'`{entry["sha256"]}`', f'`{digest or "-"}`'
    trained: dict[str, list[str]] = {}
    for name in results:
        file = folder.of(name) / TRAINING_DATA
        if file.is_file():
            digest = json.loads(file.read_text(encoding='utf-8'))['train'].get('content_sha256')
            trained.setdefault(f'`{digest}`' if digest else '-', []).append(name)
    rows = [*tested.values(), *((f'training of {", ".join(names)}', '', '', digest) for digest, names in trained.items())]
    return (
        'SHA-256 of the sorted paths of each tested list, and of the content of all slices and labels that a run was '
        'trained or tested with.\n\n' + markdown_table(['data', 'slices', 'paths', 'content'], rows, 'lrll')
    )


def _versions(results: Mapping[str, Mapping[str, dict]]) -> str:
    found: dict[str, set[str]] = {}
    for tests in results.values():
        for content in tests.values():
            for name, version in content['versions'].items():
                found.setdefault(name, set()).add(version)
    return ', '.join(f'{name} {" and ".join(sorted(versions))}' for name, versions in found.items()) or 'no run has finished'
