"""Write the HTML pages of a prediction run. RoIs are recorded slice by slice; pixels are read again for the page."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mmaffinity.scans import Problem, Scan, SliceRecord
from mmaffinity.scans.output_folder import OutputFolder
from mmaffinity.scans.windowing import AIR, LOWEST
from mmaffinity.scans.writers import Records
from mmaffinity.utils.json_lines import JsonLines
from mmaffinity.visualization.pages.pixels import PixelBlock, encode_pixels
from mmaffinity.visualization.pages.scan_page import scan_page, with_shares
from mmaffinity.visualization.sample_arrays import to_array

from .base_inferencer import SliceInferencer, SlicePrediction
from .prediction_totals import PAGE

ROIS = 'rois.jsonl'
# Limits of a scan with a page, because the browser holds all its slices in memory: 524 million values of 16 bits take 1 GB.
MAX_SLICES, MAX_VALUES = 1000, 2000 * 512 * 512
PAGE_BYTES = 43_000_000  # of compressed pixels in a page, which take 4/3 of that in base64
PIXEL_BYTES = 0.55  # per pixel, at least: 300 slices of 512 x 512 then reach PAGE_BYTES, 58 MB in base64


class PredictionPages:
    """Write the page of each scan of an output folder.

    Args:
        inferencer: the model.
        out: the output folder.
        resume: keep what earlier runs recorded.
    """

    def __init__(self, inferencer: SliceInferencer, out: OutputFolder, resume: bool) -> None:
        self.inferencer, self.out, self.resume = inferencer, out, resume

    def missing(self, scan: Scan, folder: str, records: Records) -> bool:
        """Whether a scan should have a page but has none."""
        return not (self.out.root / folder / PAGE).is_file() and _excess(scan, records) is None

    @contextmanager
    def recording(self, folder: str) -> Iterator[None]:
        """Open ``rois.jsonl`` of a scan, for :meth:`record` and :meth:`write`."""
        path = self.out.path(folder, ROIS)
        if not self.resume:
            path.unlink(missing_ok=True)
        with JsonLines(path) as self._rois:
            yield

    def record(self, prediction: SlicePrediction) -> None:
        """Append the RoIs of a slice to ``rois.jsonl`` if its scan will have a page; of several lines, the last counts."""
        if prediction.scan is not None and prediction.scan.num_slices > MAX_SLICES:
            return
        rois = rois_of(self.inferencer, prediction)
        if rois is not None:
            self._rois.append({'key': prediction.slice.key, **rois})

    def write(
        self,
        scan: Scan,
        folder: str,
        head: dict[str, Any],
        summary: dict[str, Any],
        records: Records,
    ) -> None:
        """Write the page of a scan; if the scan is too large for one, remove that of an earlier run and add a note.

        Args:
            scan, folder: the scan and its folder.
            head: ``scan`` with its notes, ``model``, ``versions``, ``settings`` and ``created``, as in ``prediction.json``.
            summary: summary of the scan.
            records: returns a new iterator over records and problems at each call.
        """
        excess = _excess(scan, records)
        if excess is not None:
            (self.out.root / folder / PAGE).unlink(missing_ok=True)
            head['scan']['notes'].append(f'no page: {excess} that a browser can show at once')
            return
        classes = self.inferencer.slice_classes or tuple(summary['mean_probability'])
        ascending, planes = _planes(scan)
        content = dict(
            head,
            summary=summary,
            classes=classes,
            planes=planes,
            ascending=ascending,
            notes=head['scan']['notes'],
            not_predicted=[dict(source=item.source, reason=item.reason) for item in records() if isinstance(item, Problem)],
        )
        places = self._last_lines(folder)
        keys = scan.keys()
        predicted = [record.index for record in records() if isinstance(record, SliceRecord)]
        slices = (
            with_shares(record.to_dict(), self._read(places.get(keys[record.index])))
            for record in records()
            if isinstance(record, SliceRecord)
        )
        with self.out.write(folder, PAGE) as file:
            file.writelines(scan_page(content, slices, _pixels(scan, predicted)))

    def _last_lines(self, folder: str) -> dict[str, int]:
        """Remove the repeated lines that an interrupted run leaves in ``rois.jsonl``; return the place of each slice."""
        self._rois.close()
        places, num_lines = self._places()
        if num_lines > len(places):
            with self.out.write(folder, ROIS) as file:
                for value in self._rois.at(sorted(places.values())):
                    file.write(json.dumps(value).encode('ascii') + b'\n')
            places, _ = self._places()
        return places

    def _places(self) -> tuple[dict[str, int], int]:
        """Return the place of the last complete line of each slice in ``rois.jsonl``, and the number of lines."""
        places: dict[str, int] = {}
        num_lines = 0
        for place, value in self._rois.lines():
            num_lines += 1
            if isinstance(value, dict) and isinstance(value.get('key'), str):
                places[value['key']] = place
        return places, num_lines

    def _read(self, place: int | None) -> dict | None:
        if place is None:
            return None
        (value,) = self._rois.at([place])
        return {name: content for name, content in value.items() if name != 'key'} or None


def _excess(scan: Scan, records: Records) -> str | None:
    """Return by how much a scan exceeds what a browser can hold; None if it fits."""
    if scan.info.num_slices > MAX_SLICES:
        return f'{scan.info.num_slices} slices exceed the {MAX_SLICES}'
    values = sum(record.height * record.width for record in records() if isinstance(record, SliceRecord))
    values *= 3 if scan.options.color else 1
    return f'{values} pixel values exceed the {MAX_VALUES}' if values > MAX_VALUES else None


def rois_of(inferencer: SliceInferencer, prediction: SlicePrediction) -> dict[str, Any] | None:
    """Return the RoIs from which a slice was classified, as plain data.

    Returns:
        ``boxes`` (M, 4), x1 y1 x2 y2 in pixels of the slice, and ``scores`` (M,). If the model has an affinity head, also
        ``weights`` (M,), ``shares`` (M, K), see :class:`RoIEvidence`, and ``affinity``: Y in 255 steps from ``-limit`` to
        ``limit``, the 99.5th percentile of its absolute values. What the model does not give is None; so is the whole result if
        the class does not depend on RoIs, or a value is not finite.
    """
    found = prediction.sample.get('pred_slice')
    if found is None or 'roi_boxes' not in found:
        return None
    boxes, scores = to_array(found.roi_boxes).reshape(-1, 4), to_array(found.roi_scores).reshape(-1)
    weights = to_array(found.roi_weights) if 'roi_weights' in found else None
    affinity = to_array(found.affinity) if 'affinity' in found else None
    attributed = None if weights is None else inferencer.roi_shares(found)
    shares = None if attributed is None else to_array(attributed)
    if not all(np.isfinite(value).all() for value in (boxes, scores, weights, shares, affinity) if value is not None):
        return None
    return dict(
        boxes=_rounded(boxes),
        scores=_rounded(scores),
        weights=_rounded(weights),
        shares=_rounded(shares),
        affinity=None if affinity is None else _steps(affinity),
    )


def _rounded(values: np.ndarray | None) -> list | None:
    return None if values is None else values.astype(float).round(4).tolist()


def _steps(affinity: np.ndarray) -> dict[str, Any]:
    sizes = np.abs(affinity)
    limit = float(np.percentile(sizes, 99.5)) or float(sizes.max()) or 1.0
    steps = np.rint(affinity.clip(-limit, limit) * (127 / limit)).astype(np.int8)
    values = base64.b64encode(steps.tobytes()).decode('ascii')
    return dict(rows=len(steps), columns=steps.shape[1], limit=limit, values=values)


def _planes(scan: Scan) -> tuple[bool, list[str]]:
    """Return whether slice numbers increase towards the head, and the planes in which the scan can be shown to scale."""
    first, last = scan.place(0)[0], scan.place(scan.info.num_slices - 1)[0]
    known = None not in (first, last, scan.info.spacing, scan.info.slice_spacing) and first != last
    return first is None or last is None or last >= first, ['axial', 'coronal', 'sagittal'] if known else ['axial']


def _pixels(scan: Scan, wanted: list[int]) -> Iterator[tuple[int, PixelBlock]]:
    """Encode slices up to the first that can no longer be read: the input may have changed since prediction.

    The red, green and blue channels of a colour image are stacked vertically and encoded as one image.
    """
    try:
        for index, values in scan.values(wanted):
            if values.ndim == 3:
                values = np.concatenate([values[..., channel] for channel in (2, 1, 0)])
            elif scan.info.kind != 'images':
                values = np.where(np.isfinite(values) & (values >= LOWEST), values, AIR)
            most = max(PAGE_BYTES / scan.info.num_slices, PIXEL_BYTES * values.size)
            yield index, encode_pixels(values, int(most))
    except (ValueError, OSError, MemoryError):
        return
