"""The pages of a prediction run: one per scan, and an index of all scans."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .document import document, json_block, text_block
from .pixels import PixelBlock

SAME_LESION = 0.25  # IoU above which the model itself treats two boxes as one (NMS of the classification branch)
NONE, WHOLE = -1, -2  # a RoI at no lesion; one that spans the slice
WINDOWS = (('lung', -600, 1500), ('mediastinal', 40, 400))  # HU, level and width
FULL = ('full', 1023.5, 4095)  # -1024 to 3071 HU, the range of 12-bit scanners
AS_STORED = ('as stored', 127.5, 255)  # grey levels of images
PARTS = ('pixels', 'view', 'panel', 'rois', 'summary', 'curve', 'controls')  # of the script
ATTRIBUTION = (
    'Exact: the feature vector z of the slice is the sum over the RoIs of weight times RoI vector (z = X\u1d40 (W v)). First '
    'order: the contribution of each summand to the logit of a class, with the classifier linearised at this z. Contributions '
    'and biases add up to the logit, but removing a RoI may change it by another amount. A share is a contribution divided by '
    'the sum of the magnitudes of all contributions to that class; a negative share counts against the class. A RoI is '
    f'assigned to the lesion whose box it overlaps most, if their IoU is at least {SAME_LESION}.'
)


def scan_page(head: dict[str, Any], records: Iterable[dict], pixels: Iterable[tuple[int, PixelBlock]]) -> Iterator[bytes]:
    """Yield the page of a scan in parts.

    Args:
        head: ``scan``, ``model``, ``versions``, ``settings``, ``summary``, ``notes``, ``not_predicted``, ``created``,
            ``classes``, ``planes`` and ``ascending``, as in :mod:`mmaffinity.apis.prediction_pages`.
        records: slices as plain data, from :func:`with_shares`.
        pixels: index and pixels of each slice.
    """
    hounsfield = head['scan']['kind'] != 'images'
    head = dict(
        head,
        unit='HU' if hounsfield else 'grey level',
        attribution=ATTRIBUTION,
        windows=[*WINDOWS, FULL] if hounsfield else [AS_STORED],
        no_rois='No RoIs were recorded for this slice: the model classifies without RoIs, or the slice was predicted with '
        '--no-html.',
        no_pixels='The pixels of this slice could not be read when the page was written.',
    )

    def blocks() -> Iterator[str]:
        yield json_block(head, id='head')
        for record in records:
            yield json_block(record, data_record=record['index'])
        for index, block in pixels:
            yield text_block(
                block.text, data_pixels=index, data_height=block.height, data_width=block.width, data_step=f'{block.step:g}'
            )

    return document(
        'scan.html',
        head['scan']['name'],
        ('vendor/uPlot.min.css', 'page.css', 'scan.css'),
        ('vendor/uPlot.iife.min.js', 'common.js', 'lines.js', 'codec.js', *(f'scan_{part}.js' for part in PARTS), 'scan.js'),
        blocks(),
    )


def index_page(report: dict[str, Any], pages: Sequence[bool]) -> Iterator[bytes]:
    """Yield the index of the scans of a prediction run.

    Args:
        report: content of ``report.json``.
        pages: for each scan, whether it has a page.
    """
    return document(
        'index.html',
        'Predicted scans',
        ('page.css',),
        ('common.js', 'index.js'),
        [json_block(dict(report, pages=list(pages)), id='head')],
    )


def with_shares(record: dict, rois: dict | None) -> dict:
    """Add the RoIs to a slice's record and, if known, the share of each lesion in the attribution of each class.

    Args:
        record: a slice, from :meth:`SliceRecord.to_dict`.
        rois: ``boxes`` (M, 4), ``shares`` (M, K) or None, and further data of the M RoIs; None if unknown. A RoI that spans the
            slice, as from a slice head with ``slice_roi``, belongs to no lesion and has a share of its own.
    """
    if rois is None:
        return record
    boxes = np.asarray(rois['boxes']).reshape(-1, 4)
    lesions = np.asarray([lesion['box'] for lesion in record['lesions']]).reshape(-1, 4)
    overlaps = box_overlaps(boxes, lesions)
    nearest = overlaps.argmax(1) if len(lesions) else np.zeros(len(boxes), dtype=int)
    found = overlaps[np.arange(len(boxes)), nearest] >= SAME_LESION if len(lesions) else np.zeros(len(boxes), dtype=bool)
    whole = np.isclose(boxes, [0, 0, record['width'], record['height']], atol=0.5).all(1)
    owners = np.where(whole, WHOLE, np.where(found, nearest, NONE))
    names = {NONE: None, WHOLE: 'slice'}
    content = dict(record, rois=dict(rois, lesions=[names.get(int(owner), int(owner)) for owner in owners]))
    if rois['shares'] is None:
        return content
    shares = np.asarray(rois['shares'])
    lesion_shares = [shares[owners == number].sum(0).round(4).tolist() for number in range(len(lesions))]
    other, of_slice = (shares[owners == kind].sum(0).round(4).tolist() for kind in (NONE, WHOLE))
    return dict(content, lesion_shares=lesion_shares, other_shares=other, **({'slice_shares': of_slice} if whole.any() else {}))


def box_overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the IoU of boxes (M, 4) with others (N, 4), shape (M, N); 0 for boxes without area."""
    low, high = np.maximum(boxes[:, None, :2], others[None, :, :2]), np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    areas, other_areas = ((one[:, 2:] - one[:, :2]).prod(-1) for one in (boxes, others))
    union = areas[:, None] + other_areas[None] - shared
    return np.divide(shared, union, out=np.zeros_like(union, dtype=float), where=union > 0)
