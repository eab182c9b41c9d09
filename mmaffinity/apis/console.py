"""What the prediction tool prints of a run: an answer per scan, what may spoil it, and what was left out."""
from collections.abc import Iterator
from pathlib import Path

from mmaffinity.scans.notes import WARNING
from mmaffinity.utils.text import plural

from .prediction import PredictionReport, ScanResult

MAX_EXAMPLES = 3


def report_lines(report: PredictionReport, out: str | Path) -> Iterator[str]:
    """Put a report into lines for the console: serious notes in full, the others by their number.

    Args:
        report: of the run.
        out: the folder of the results.

    Yields:
        Lines without their ends.
    """
    for scan in report.scans:
        yield _answer(scan)
        serious = [note for note in scan.notes if note.startswith(WARNING)]
        if scan.notes:
            place = Path(out) / scan.folder / 'prediction.json'
            yield f'  {plural(len(scan.notes), "note")}, see {place}' + ('; the serious ones:' if serious else '')
            yield from (f'  {note}' for note in serious)
    if report.problems:
        yield f'{plural(len(report.problems), "input", "was")} not predicted:'
        # What failed goes first: it is not the input's fault.
        shown = sorted(report.problems, key=lambda problem: not problem.failed)[:MAX_EXAMPLES]
        yield from (f'  {problem}' for problem in shown)
        if len(report.problems) > len(shown):
            yield f'  and {len(report.problems) - len(shown)} more, see {Path(out) / "report.json"}'
    if report.clutter:
        names = list(dict.fromkeys(item.source.rsplit('/', 1)[-1] for item in report.clutter))
        more = ', ...' if len(names) > MAX_EXAMPLES else ''
        yield f'{plural(len(report.clutter), "file")} without slices left aside: {", ".join(names[:MAX_EXAMPLES])}{more}'
    if report.failed:
        yield 'Something failed, see above: the exit code is 1. MMAFFINITY_TRACEBACK=1 shows where.'


def _answer(scan: ScanResult) -> str:
    answer = scan.summary
    lesions = answer['lesions']
    volume = '' if lesions['volume_ml'] is None else f', {lesions["volume_ml"]:.1f} ml'
    probabilities = ', '.join(f'{name} {mean:.3f}' for name, mean in answer['mean_probability'].items())
    label = f'; {answer["label"]} ({probabilities})' if probabilities else ''
    return f'{scan.folder}: {scan.num_predicted} of {plural(scan.num_slices, "slice")}{label}; ' \
           f'{plural(lesions["number"], "lesion")}{volume}'
