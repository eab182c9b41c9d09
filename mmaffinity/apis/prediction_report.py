"""What became of the scans of a prediction run, and the lines that the tool prints of it."""
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmaffinity.scans import Problem
from mmaffinity.scans.notes import WARNING
from mmaffinity.utils.text import plural

MAX_EXAMPLES = 3


@dataclass
class ScanResult:
    """What became of a scan.

    Attributes:
        name: of the scan.
        folder: below the output folder.
        num_slices, num_predicted, num_not_predicted: how many slices.
        summary: the scan's answer, see docs/prediction.md.
        notes: on the scan, on its slices (those alike once, with how many), on outputs that could not be written. Serious
            ones start with :data:`~mmaffinity.scans.notes.WARNING`.
        failed: whether writing a mask failed for a reason that no check foresaw.
    """

    name: str
    folder: str
    num_slices: int
    num_predicted: int
    num_not_predicted: int
    summary: dict
    notes: list[str] = field(default_factory=list)
    failed: bool = False


@dataclass
class PredictionReport:
    """What became of all inputs; ``report.json`` holds it.

    Attributes:
        scans: those that were predicted.
        problems: inputs that belong to no scan, and slices that could not be predicted, each with its reason.
        clutter: files that come along with scans and hold none.
    """

    scans: list[ScanResult] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    clutter: list[Problem] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether something failed that was not refused: predicting a scan, or writing its results."""
        return any(problem.failed for problem in self.problems) or any(scan.failed for scan in self.scans)


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
