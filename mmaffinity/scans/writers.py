"""Write results as JSON, CSV and COCO JSON, slice by slice."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from mmaffinity.utils.provenance import NOTICE

from .items import Problem
from .output_folder import OutputFolder
from .records import SliceRecord

SCHEMA = 1
Records = Callable[[], Iterator[SliceRecord | Problem]]


def write_prediction(out: OutputFolder, folder: str, head: dict, summary: dict, records: Records) -> None:
    """Write a scan's ``prediction.json`` (see docs/prediction.md) without holding its slices in memory.

    Args:
        out, folder: destination.
        head: everything except the results: model, settings, scan.
        summary: summary of the scan.
        records: returns a new iterator over results and problems on each call.
    """
    with out.write(folder, 'prediction.json') as file:
        text = json.dumps({'schema': SCHEMA, 'notice': NOTICE, **head, 'summary': summary}, indent=1, allow_nan=False)
        file.write(text.removesuffix('\n}').encode('ascii'))
        slices = (record.to_dict() for record in records() if isinstance(record, SliceRecord))
        write_list(file, 'slices', slices)
        problems = ({'source': item.source, 'reason': item.reason} for item in records() if isinstance(item, Problem))
        write_list(file, 'not_predicted', problems)
        file.write(b'\n}\n')


def write_list(file: IO[bytes], name: str, items: Iterable[dict]) -> None:
    """Append a list to an open JSON object, one entry per line, so that readers can stream it."""
    file.write(f',\n "{name}": ['.encode())
    for number, item in enumerate(items):
        file.write((',\n  ' if number else '\n  ').encode() + json.dumps(item, allow_nan=False).encode('ascii'))
    file.write(b'\n ]')


def write_csv(out: OutputFolder, folder: str, classes: Iterable[str], records: Records) -> None:
    """Write ``slices.csv`` with a row per predicted slice."""
    classes = list(classes)
    columns = [
        'index',
        'name',
        'position_mm',
        'label',
        *(f'p({name})' for name in classes),
        'num_lesions',
        'lesion_area_px',
        'lesion_area_mm2',
        'lesion_volume_ml',
        'lung_area_px',
        'notes',
    ]
    with out.write(folder, 'slices.csv') as file:
        text = io.TextIOWrapper(file, encoding='utf-8', newline='')
        rows = csv.writer(text)
        rows.writerow(columns)
        for record in records():
            if isinstance(record, SliceRecord):
                rows.writerow(
                    [
                        record.index,
                        _cell(record.name),
                        _number(record.position_mm),
                        record.label or '',
                        *(_number(record.probabilities.get(name)) for name in classes),
                        len(record.lesions),
                        record.lesion_area_px,
                        _number(record.lesion_area_mm2),
                        _number(record.lesion_volume_ml),
                        _number(record.lung_area_px),
                        _cell('; '.join(record.notes)),
                    ]
                )
        text.flush()
        text.detach()


def _cell(text: str) -> str:
    """Escape text so that spreadsheets do not treat it as a formula."""
    return f"'{text}" if text[:1] in ('=', '+', '-', '@', '\t') else text


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.6g}'


def write_coco(out: OutputFolder, folder: str, lesion_classes: Iterable[str], records: Records) -> None:
    """Write ``lesions.json``: predicted lesions as COCO annotations with compressed RLE masks and scores."""
    images = (
        {'id': record.index, 'file_name': record.name, 'width': record.width, 'height': record.height}
        for record in records()
        if isinstance(record, SliceRecord)
    )
    with out.write(folder, 'lesions.json') as file:
        write_coco_lists(file, lesion_classes, images, _annotations(records()))


def write_coco_lists(file: IO[bytes], classes: Iterable[str], images: Iterable[dict], annotations: Iterable[dict]) -> None:
    """Write the COCO form of predicted lesions."""
    info = {'description': f'Lesions predicted by mmaffinity. {NOTICE}'}
    categories = [{'id': number, 'name': name} for number, name in enumerate(classes, 1)]
    file.write(json.dumps({'info': info, 'categories': categories}).removesuffix('}').encode('ascii'))
    write_list(file, 'images', images)
    write_list(file, 'annotations', annotations)
    file.write(b'\n}\n')


def _annotations(records: Iterable[SliceRecord | Problem]) -> Iterator[dict]:
    number = 0
    for record in records:
        if not isinstance(record, SliceRecord):
            continue
        for lesion in record.lesions:
            number += 1
            x1, y1, x2, y2 = lesion.box
            annotation = {
                'id': number,
                'image_id': record.index,
                'category_id': lesion.label + 1,
                'bbox': [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                'area': lesion.area_px,
                'iscrowd': 0,
                'score': lesion.score,
            }
            yield annotation if lesion.mask is None else {**annotation, 'segmentation': lesion.mask}
