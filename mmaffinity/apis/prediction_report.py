"""The outcome of a prediction run, and its console output."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmaffinity.scans import Problem
from mmaffinity.scans.notes import WARNING
from mmaffinity.utils.wording import plural

MAX_EXAMPLES = 3


@dataclass
class ScanResult:
    """The outcome for a scan.

    Attributes:
        name: name of the scan.
        folder: its folder below the output folder.
        num_slices, num_predicted, num_not_predicted: numbers of slices.
        summary: the scan's result, see docs/prediction.md.
        notes: notes on the scan, on its slices (equal ones once, with their number), and on outputs that could not be written.
            Warnings start with :data:`~mmaffinity.scans.notes.WARNING`.
        failed: whether writing a mask, the measurements or the page failed unexpectedly.
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
    """The outcome for all inputs, as stored in ``report.json``.

    Attributes:
        scans: predicted scans.
        problems: inputs that belong to no scan, and slices that could not be predicted, each with the reason.
        clutter: accompanying files that contain no slices.
    """

    scans: list[ScanResult] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    clutter: list[Problem] = field(default_factory=list)

    def add(self, part: 'PredictionReport') -> None:
        """Add the outcome for other inputs."""
        self.scans += part.scans
        self.problems += part.problems

    @property
    def failed(self) -> bool:
        """Whether predicting a scan or writing its results failed unexpectedly; refused inputs do not count."""
        return any(problem.failed for problem in self.problems) or any(scan.failed for scan in self.scans)


def report_lines(report: PredictionReport, out: str | Path) -> Iterator[str]:
    """Yield a report as console lines: warnings in full, and the number of notes.

    Args:
        report: report of the run.
        out: folder of the results.

    Yields:
        Lines without line breaks.
    """
    for scan in report.scans:
        yield _scan_line(scan)
        serious = [note for note in scan.notes if note.startswith(WARNING)]
        if scan.notes:
            place = Path(out) / scan.folder / 'prediction.json'
            yield f'  {plural(len(scan.notes), "note")}, see {place}' + ('; warnings:' if serious else '')
            yield from (f'  {note}' for note in serious)
    if report.problems:
        yield f'{plural(len(report.problems), "input", "was")} not predicted:'
        # Unexpected failures first: the input is not at fault.
        shown = sorted(report.problems, key=lambda problem: not problem.failed)[:MAX_EXAMPLES]
        yield from (f'  {problem}' for problem in shown)
        if len(report.problems) > len(shown):
            yield f'  and {len(report.problems) - len(shown)} more, see {Path(out) / "report.json"}'
    if report.clutter:
        names = list(dict.fromkeys(item.source.rsplit('/', 1)[-1] for item in report.clutter))
        more = ', ...' if len(names) > MAX_EXAMPLES else ''
        yield f'ignored {plural(len(report.clutter), "file")} without slices: {", ".join(names[:MAX_EXAMPLES])}{more}'
    if report.failed:
        yield 'There were unexpected failures (see above), so the exit code is 1. MMAFFINITY_TRACEBACK=1 shows the traceback.'


def _scan_line(scan: ScanResult) -> str:
    summary = scan.summary
    lesions = summary['lesions']
    volume = '' if lesions['volume_ml'] is None else f', {lesions["volume_ml"]:.1f} ml'
    probabilities = ', '.join(f'{name} {mean:.3f}' for name, mean in summary['mean_probability'].items())
    label = f'; {summary["label"]} ({probabilities})' if probabilities else ''
    return (
        f'{scan.folder}: {scan.num_predicted} of {plural(scan.num_slices, "slice")}{label}; '
        f'{plural(lesions["number"], "lesion")}{volume}'
    )
