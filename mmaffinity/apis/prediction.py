"""Predict scans into a folder of JSON, CSV, COCO, masks and overlays; an interrupted run can be resumed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mmaffinity.scans import Problem, Scan, check_inputs, find_scans
from mmaffinity.scans.discovery import Input
from mmaffinity.scans.journal import JOURNAL
from mmaffinity.scans.output_folder import OutputFolder
from mmaffinity.scans.result_folders import ResultFolders
from mmaffinity.scans.shards import Shard
from mmaffinity.utils.optional import require

from .base_inferencer import SliceInferencer, refused
from .prediction_report import PredictionReport, ScanResult
from .prediction_totals import REPORT, remove_reports, write_report, write_shard_report
from .scan_writer import ScanWriter

OVERLAYS = ('all', 'lesions', 'none')
Progress = Callable[[int, int, str], None]


def predict_to_folder(
    inferencer: SliceInferencer,
    inputs: Input | Iterable[Input],
    out: str | Path,
    score_thr: float = 0.5,
    resume: bool = False,
    overlays: str = 'all',
    show_rois: bool = False,
    dicom_seg: bool = False,
    progress: Progress | None = None,
    html: bool = True,
    shard: Shard | None = None,
) -> PredictionReport:
    """Predict scans, and write all results; docs/prediction.md describes the files.

    Args:
        inferencer: the model.
        inputs: files and folders, see :func:`find_scans`.
        out: folder for the results; nothing is written elsewhere.
        score_thr: lesions with a lower score are omitted from all results.
        resume: resume an interrupted run, or add new slices: finished slices are kept if the model and settings are the same.
        overlays: draw 'all' slices, those with 'lesions', or 'none'.
        show_rois: also draw the RoIs used for classification.
        dicom_seg: write DICOM-SEG, and the measurements as DICOM-SR, for DICOM series; needs highdicom.
        progress: called with the number of finished slices, the total, and the name of the slice.
        html: write ``index.html`` and a page for each scan that is not too large for a browser; see docs/pages.md.
        shard: predict only the scans of this shard, while other processes predict the others into the same folder;
            :func:`~.prediction_totals.merge_shards` then writes the files that cover all scans.

    Returns:
        The outcome for all inputs, or for the scans of the shard. Unreadable inputs and failed scans never end the run.

    Raises:
        FileNotFoundError: if an input does not exist; ``out`` is then not created.
        FileExistsError: if ``out`` contains results and ``resume`` is not set.
        ValueError: if an argument is invalid, ``dicom_seg`` needs a package that is not installed, another process is writing
            to ``out``, existing results have other settings, or nothing could be predicted.
    """
    if not 0 <= score_thr <= 1:
        raise ValueError(f'score_thr must be between 0 and 1, not {score_thr}')
    if overlays not in OVERLAYS:
        raise ValueError(f'overlays must be one of {", ".join(OVERLAYS)}, not {overlays!r}')
    if dicom_seg:
        require('highdicom', 'medical')
    inputs = [inputs] if isinstance(inputs, (str, Path, np.ndarray)) else list(inputs)
    check_inputs(inputs)
    with ExitStack() as stack:
        # Lock before inspecting the folder; create it only if there is something to write.
        folder = _open(out, resume, stack, shard) if Path(out).is_dir() else None
        report = PredictionReport()
        scans: list[Scan] = []
        for item in find_scans(inputs, inferencer.options, exclude=[out]):
            if isinstance(item, Problem):
                (report.clutter if item.clutter else report.problems).append(item)
            else:
                scans.append(item)
        if not scans and not report.problems:
            names = ', '.join(map(str, inputs))
            reason = report.clutter[0] if report.clutter else f'no file in {names}' if names else 'no input was given'
            raise ValueError(f'there is nothing to predict: {reason}')
        folder = folder or _open(out, resume, stack, shard)
        writer = ScanWriter(inferencer, folder, score_thr, resume, overlays, show_rois, dicom_seg, html)
        if shard is None:
            remove_reports(folder, None)
            for part in _predict(writer, scans, progress):
                report.add(part)
            write_report(folder, writer.head(), report, html)
        else:
            _predict_shard(writer, scans, report, progress, shard)
    return report


def _open(out: str | Path, resume: bool, stack: ExitStack, shard: Shard | None) -> OutputFolder:
    """Create and lock the output folder until the stack exits; refuse a folder with results unless ``resume`` is set."""
    folder = OutputFolder(out)
    stack.enter_context(folder.lock(str(shard or '')))
    # Other shards of this run may already have written journals; _predict_shard checks those of its own scans.
    if not resume and ((folder.root / REPORT).exists() or (shard is None and any(folder.root.glob(f'*/{JOURNAL}')))):
        raise _earlier_results(out)
    return folder


def _earlier_results(out: str | Path) -> FileExistsError:
    return FileExistsError(f'{out} contains results of an earlier run: add --resume to continue it, or choose another --out')


def _predict_shard(
    writer: ScanWriter, scans: Sequence[Scan], report: PredictionReport, progress: Progress | None, shard: Shard
) -> None:
    """Predict the scans of a shard, and write its report; the first shard reports inputs that belong to no scan."""
    mine = {place: scan for place, scan in enumerate(scans) if shard.owns(scan)}
    if not writer.resume:
        folders = ResultFolders(writer.out)
        if any((writer.out.root / folders.of(scan)[0] / JOURNAL).exists() for scan in mine.values()):
            raise _earlier_results(writer.out.root)
    remove_reports(writer.out, shard)
    if shard.index:
        report.problems, report.clutter = [], []
    parts = {-1: PredictionReport(problems=list(report.problems))}
    for place, part in zip(mine, _predict(writer, list(mine.values()), progress)):
        parts[place] = part
        report.add(part)
    write_shard_report(writer.out, shard, scans, writer.head(), parts, report.clutter)


def _predict(writer: ScanWriter, scans: Sequence[Scan], progress: Progress | None) -> Iterator[PredictionReport]:
    """Predict scans one after another, and yield the outcome for each."""
    total = sum(scan.info.num_slices for scan in scans)
    done = 0
    for scan in scans:
        part = PredictionReport()
        try:
            writer.inferencer.check(scan)
        except Exception as error:
            part.problems.append(refused(scan, error))
            total -= scan.info.num_slices
            yield part
            continue
        for result in writer.run(scan):
            if isinstance(result, ScanResult):
                part.scans.append(result)
                continue
            # A problem without a key concerns the whole scan, not one more slice.
            done += not isinstance(result, Problem) or result.key is not None
            if isinstance(result, Problem):
                part.problems.append(result)
            if progress is not None and not isinstance(result, str):
                progress(done, total, result.source if isinstance(result, Problem) else result.name)
        yield part
