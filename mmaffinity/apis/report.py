"""Write a report on finished runs: Markdown, CSV, JSON, HTML and reliability diagrams."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmaffinity import __version__
from mmaffinity.evaluation.report import Report, build_report, load_external, load_runs
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.provenance import NOTICE
from mmaffinity.visualization.reliability import draw_reliability
from mmaffinity.visualization.saving import FIGURE_FORMATS, save_figure, write_atomically

from .page_figures import figures_of_report
from .run_pages import write_report_page

CSV_FIELDS = ('table', 'model', 'kind', 'metric', 'value', 'low', 'high', 'std', 'best', 'note')


def write_report(
    work_dirs: Sequence[str | Path],
    out_dir: str | Path,
    external: Mapping[str, str | Path] | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    class_weights: str | Sequence[float] = 'share',
    progress: Callable[[str], None] = lambda message: None,
    html: bool = True,
) -> dict[str, Path]:
    """Write a report on finished runs; docs/report.md describes it.

    Args:
        work_dirs: work directories with ``results*.json`` from ``mmaffinity test --out``, or such files.
        out_dir: folder for ``report.md``, ``report.csv``, ``report.json`` and ``reliability_*.png`` / ``.pdf``.
        external: files of external systems by name; see :func:`load_external`.
        num_resamples: number of bootstrap resamples.
        seed: seed of the bootstrap; the same seed gives the same report.
        class_weights: class weights of the class-adjusted F1: 'share' or one number per class.
        progress: called with a description of the current work.
        html: also write ``report.html``, a page with the slices of all runs side by side; see docs/pages.md.

    Returns:
        The files, by 'markdown', 'csv', 'json' and, if written, 'html'.

    Raises:
        FileNotFoundError: if a run or an external file does not exist.
        ValueError: if runs were tested on different lists, or a file has the wrong format.
    """
    out_dir = Path(out_dir)
    slices, lesions, notes = load_runs(work_dirs)
    known = list(slices)
    for name, file in (external or {}).items():
        slices.append(load_external(name, file, known))
    report = build_report(slices, lesions, num_resamples, seed, class_weights, notes, progress)
    figures = _reliability_figures(report, out_dir)
    files = dict(markdown=out_dir / 'report.md', csv=out_dir / 'report.csv', json=out_dir / 'report.json')
    write_atomically(files['markdown'], _markdown(report, figures).encode())
    write_atomically(files['csv'], _csv(report).encode())
    content = _json(report, num_resamples, seed)
    write_json_atomic(files['json'], content)
    if html:
        shown = figures_of_report(content) if len(slices) + len(lesions) > 1 else ()
        files['html'] = write_report_page([*slices, *lesions], notes, out_dir / 'report.html', shown)
    return files


def _reliability_figures(report: Report, out_dir: Path) -> dict[str, str]:
    """Draw the reliability diagrams of the tables that have calibrations; return the file name by table."""
    drawn = {}
    for key in sorted({group for group, _ in report.calibrations}):
        panels = []
        for (group, name), calibration in report.calibrations.items():
            if group != key:
                continue
            states = [('uncalibrated', calibration.raw)]
            if calibration.after is not None:
                states.append((f'temperature {calibration.temperature:.2f}', calibration.after))
            panels += [
                (f'{name}\n{state}', found.count, found.confidence, found.accuracy, found.ece) for state, found in states
            ]
        figure = draw_reliability(panels)
        stem = f'reliability_{key.replace(" ", "_").replace(",", "")}'
        for suffix in FIGURE_FORMATS:
            save_figure(figure, out_dir / (stem + suffix))
        drawn[key] = f'{stem}.png'
    return drawn


def _markdown(report: Report, figures: dict[str, str]) -> str:
    parts = ['# Report', f'{NOTICE} Written by mmaffinity {__version__}.']
    parts += [f'* {note}' for note in report.notes]
    keys = list(dict.fromkeys(table.group for table in report.tables))
    for key in keys:
        tables = [table for table in report.tables if table.group == key]
        parts.append(f'## {tables[0].title}')
        for table in tables:
            parts.append(table.markdown(heading=table is not tables[0]))
            if table.key.endswith('_calibration'):
                parts.append(f'![Reliability diagrams: share of correct predictions by confidence]({figures[key]})')
        parts += report.matrices.get(key, [])
    return '\n\n'.join(parts) + '\n'


def _csv(report: Report) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_FIELDS, lineterminator='\n')
    writer.writeheader()
    for table in report.tables:
        writer.writerows(table.records())  # None becomes an empty cell
    return stream.getvalue()


def _json(report: Report, num_resamples: int, seed: int) -> dict:
    reliability = []
    for (group, name), calibration in report.calibrations.items():
        entry: dict[str, Any] = dict(
            table=group, model=name, temperature=calibration.temperature, num_validation=calibration.num_validation
        )
        reliability.append(entry)
        for state, found in (('raw', calibration.raw), ('after', calibration.after)):
            if found is not None:
                entry[state] = found.as_dict()
    return dict(
        schema=1,
        notice=NOTICE,
        mmaffinity=__version__,
        num_resamples=num_resamples,
        seed=seed,
        synthetic=report.synthetic,
        notes=report.notes,
        confusions=report.confusions,
        reliability=reliability,
        tables=[
            dict(key=table.key, title=table.title, caption=table.caption, notes=table.notes, figures=table.records())
            for table in report.tables
        ],
    )
