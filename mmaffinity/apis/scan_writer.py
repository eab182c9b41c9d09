"""Predict one scan after another, each into its own folder."""

import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmaffinity.scans import Problem, Scan, ScanSummary, SliceRecord
from mmaffinity.scans.journal import JOURNAL, Journal, OtherSettings
from mmaffinity.scans.mask_writers import write_dicom_seg, write_nifti_mask
from mmaffinity.scans.measurement_report import write_measurement_report
from mmaffinity.scans.notes import WARNING, SliceNotes
from mmaffinity.scans.opening import brief
from mmaffinity.scans.output_folder import OutputFolder
from mmaffinity.scans.result_folders import OVERLAYS_FOLDER, ResultFolders, picture_name, renumber_pictures
from mmaffinity.scans.writers import SCHEMA, Records, write_coco, write_csv, write_prediction
from mmaffinity.utils.provenance import NOTICE, SYNTHETIC, now, versions
from mmaffinity.utils.wording import plural

from .base_inferencer import MODEL_ENTRIES, SliceInferencer, SlicePrediction, failure
from .prediction_pages import PredictionPages
from .prediction_report import ScanResult
from .prediction_totals import PAGE


class ScanWriter:
    """Predict scans, and write the results of each to its folder; see :func:`~.prediction.predict_to_folder`."""

    def __init__(
        self,
        inferencer: SliceInferencer,
        out: OutputFolder,
        score_thr: float,
        resume: bool,
        overlays: str,
        show_rois: bool,
        dicom_seg: bool,
        html: bool,
    ) -> None:
        self.inferencer, self.out, self.resume = inferencer, out, resume
        self.score_thr, self.overlays, self.show_rois, self.dicom_seg = score_thr, overlays, show_rois, dicom_seg
        options = inferencer.options
        self.settings = dict(
            window_level=options.window.level,
            window_width=options.window.width,
            rescale=None if options.rescale is None else list(options.rescale),
            max_value=options.max_value,
            score_thr=score_thr,
            overlays=overlays,
            show_rois=show_rois,
            dicom_seg=dicom_seg,
        )
        self.pages = PredictionPages(inferencer, out, resume) if html else None
        self._folders = ResultFolders(out)

    def head(self) -> dict[str, Any]:
        """Return the fields that precede the results in ``prediction.json`` and ``report.json``."""
        return dict(
            schema=SCHEMA,
            notice=NOTICE,
            created=now(),
            model=self.inferencer.description,
            versions=versions(),
            settings=self.settings,
        )

    def run(self, scan: Scan) -> Iterator[SliceRecord | Problem | str | ScanResult]:
        """Predict a scan: yield a record, a problem or (if an earlier run predicted it) a key per slice, then the result.

        Any failure is yielded as a problem of the scan, which then has no result; predicted slices are kept for ``--resume``.
        Only existing results with other settings end the run.
        """
        try:
            yield from self._run(scan)
        except OtherSettings:
            raise
        except Exception as error:
            yield failure(scan.info.name, 'failed; --resume retries it', error)

    def _run(self, scan: Scan) -> Iterator[SliceRecord | Problem | str | ScanResult]:
        folder, source = self._folders.of(scan)
        settings = dict(
            self.settings,
            schema=SCHEMA,
            source=source,
            **{name: self.inferencer.description[name] for name in MODEL_ENTRIES if name in self.inferencer.description},
        )
        keys = scan.keys()
        recording = nullcontext() if self.pages is None else self.pages.recording(folder)
        with Journal(self.out.path(folder, JOURNAL), settings, self.resume) as journal, recording:
            # Unreadable slices are tried again: a drive may have been reconnected, or a package installed.
            known = journal.predicted().intersection(keys)
            earlier = renumber_pictures(self.out, folder, journal.read(keys, known)) if self.resume else iter(())
            yield from (record.name for record in earlier if isinstance(record, SliceRecord))
            if len(known) < len(keys):
                # New slices make the result of an earlier run obsolete; _finish() writes a new one.
                for name in ('result.json', PAGE):
                    (self.out.root / folder / name).unlink(missing_ok=True)
            for result in self.inferencer.predict_scan(scan, known):
                if isinstance(result, Problem) and result.key is None:
                    yield result  # a problem of the whole scan: earlier slices are in the journal, but there is no result yet
                    return
                yield self._record(journal, folder, result)
            if len(known) == len(keys) == len(journal.places) and self._finished(scan, folder, lambda: journal.read(keys)):
                earlier_result = ScanResult(**json.loads((self.out.root / folder / 'result.json').read_text()))
                if not earlier_result.failed:
                    yield earlier_result
                    return
            try:
                finished: ScanResult | Problem = self._finish(scan, folder, keys, journal)
            except Exception as error:
                # Unexpected header values or a full disk must not stop the other scans.
                finished = failure(scan.info.name, 'was predicted, but its results cannot be written', error)
            yield finished

    def _record(self, journal: Journal, folder: str, result: SlicePrediction | Problem) -> SliceRecord | Problem:
        """Measure and draw a prediction, and add its record to the journal; a problem is added unchanged."""
        if isinstance(result, Problem):
            journal.add(result.key or result.source, result)
            return result
        item: SliceRecord | Problem
        try:
            item = self._measure(folder, result)
            journal.add(result.slice.key, item)
        except OSError:
            raise
        except Exception as error:
            item = failure(result.slice.name, 'was predicted, but cannot be measured', error, result.slice.key)
            journal.add(result.slice.key, item)
        return item

    def _measure(self, folder: str, result: SlicePrediction) -> SliceRecord:
        record = result.record(self.score_thr)
        if self.overlays == 'all' or (self.overlays == 'lesions' and record.lesions):
            picture = self.out.path(folder, OVERLAYS_FOLDER, picture_name(record))
            from mmaffinity.visualization.saving import save_image  # loads matplotlib

            save_image(result.overlay(self.score_thr, self.show_rois), picture)
        if self.pages is not None:
            self.pages.record(result)
        return record

    def _finished(self, scan: Scan, folder: str, records: Records) -> bool:
        lacks_page = self.pages is not None and self.pages.missing(scan, folder, records)
        return (self.out.root / folder / 'result.json').is_file() and not lacks_page

    def _finish(self, scan: Scan, folder: str, keys: Sequence[str], journal: Journal) -> ScanResult:
        """Write the result files of a scan from its journal."""

        def records() -> Iterator[SliceRecord | Problem]:
            # New slices since an earlier run make the slabs of their neighbours thinner.
            return (
                record if isinstance(record, Problem) else record.at(*scan.place(record.index)) for record in journal.read(keys)
            )

        summary, num_problems, counted = ScanSummary(), 0, SliceNotes()
        for record in records():
            if isinstance(record, Problem):
                num_problems += 1
            else:
                summary.add(record)
                counted.add(record.name, record.notes)
        totals = summary.to_dict()
        notes = [*scan.info.notes]
        if self.inferencer.description.get(SYNTHETIC):
            notes.append(f"{WARNING}the model's training slices are synthetic (phantom): its results on real CT mean nothing")
        if num_problems:
            notes.append(f'{WARNING}{plural(num_problems, "slice")} could not be predicted; sums and volumes exclude them')
        head = dict(self.head(), scan=asdict(scan.info))
        classes = self.inferencer.slice_classes or list(totals['mean_probability'])
        result = ScanResult(scan.info.name, folder, scan.info.num_slices, summary.num_slices, num_problems, totals, notes)
        for name in ('lesions.nii.gz', 'lesions.dcm', 'measurements.dcm'):
            (self.out.root / folder / name).unlink(missing_ok=True)  # of an earlier run, possibly with another shape
        if summary.num_slices:
            # Masks first, because their notes go into the JSON.
            self._write_masks(scan, folder, records, result)
        notes += counted.lines(summary.num_slices)
        head['scan']['notes'] = notes
        if self.pages is not None:
            try:
                self.pages.write(scan, folder, head, totals, records)
            except Exception as error:
                notes.append(f'{WARNING}{failure(f"no page ({PAGE})", "it cannot be written", error)}')
                result.failed = True
        write_csv(self.out, folder, classes, records)
        write_coco(self.out, folder, self.inferencer.lesion_classes, records)
        write_prediction(self.out, folder, head, totals, records)
        with self.out.write(folder, 'result.json') as file:
            file.write(json.dumps(asdict(result), allow_nan=False).encode('ascii') + b'\n')
        return result

    def _write_masks(self, scan: Scan, folder: str, records: Records, result: ScanResult) -> None:
        """Write the masks and measurements that the scan allows; a note says why any other is missing."""
        try:
            if not write_nifti_mask(self.out, folder, scan, records()) and scan.info.kind != 'images':
                result.notes.append('no NIfTI mask: the slices do not form a regular grid')
        except Exception as error:
            result.notes.append(f'{WARNING}{failure("no NIfTI mask (lesions.nii.gz)", "it cannot be written", error)}')
            result.failed = not isinstance(error, ValueError)
        if not self.dicom_seg:
            return
        config = self.inferencer.description['config']
        model = f'mmaffinity {Path(str(config)).stem if config else "model"}'
        for what, write in (
            ('DICOM-SEG (lesions.dcm)', lambda: write_dicom_seg(self.out, folder, scan, records(), model)),
            ('DICOM-SR (measurements.dcm)', lambda: write_measurement_report(self.out, folder, scan, result.summary, model)),
        ):
            try:
                lacking = write()
            except ValueError as error:
                lacking = brief(error)
            except Exception as error:
                lacking, result.failed = failure(what, 'it cannot be written', error).reason, True
            if lacking:  # a warning, because the file was requested
                result.notes.append(f'{WARNING}no {what}: {lacking}')
