"""JSON, CSV and COCO JSON."""

import csv
import json

import numpy as np
from pycocotools.coco import COCO
from scan_helpers import chest, to_grey

from mmaffinity.scans import Problem, Slice, measure
from mmaffinity.scans.output_folder import OutputFolder
from mmaffinity.scans.writers import write_coco, write_csv, write_prediction


def results():
    masks = np.zeros((2, 64, 64), bool)
    masks[0, 10:20, 30:50], masks[1, 40:44, 5:9] = True, True
    for index in range(2):
        item = Slice(f'=name {index}', f'k{index}', index, to_grey(chest()), (0.8, 0.5), 5.0, 5.0 * index, notes=('a', 'b'))
        yield measure(
            item,
            'CP',
            {'Normal': 0.25, 'CP': 0.5},
            np.array([[30, 10, 50, 20], [5, 40, 9, 44]]),
            np.array([0.9, 0.6]),
            np.array([0, 1]),
            masks,
            0.5,
        )
    yield Problem('x.dcm', 'is damaged', 'k2')


def test_json(tmp_path):
    write_prediction(OutputFolder(tmp_path), 'scan', {'scan': {'name': 'n'}}, {'num_slices': 2}, results)
    content = json.loads((tmp_path / 'scan' / 'prediction.json').read_text())
    assert content['schema'] == 1 and 'Research use only' in content['notice'] and content['scan'] == {'name': 'n'}
    assert content['summary'] == {'num_slices': 2} and len(content['slices']) == 2
    assert content['slices'][1]['lesions'][0]['area_px'] == 200
    assert content['not_predicted'] == [{'source': 'x.dcm', 'reason': 'is damaged'}]


def test_json_without_slices(tmp_path):
    write_prediction(OutputFolder(tmp_path), 'scan', {}, {}, lambda: iter(()))
    content = json.loads((tmp_path / 'scan' / 'prediction.json').read_text())
    assert content['slices'] == content['not_predicted'] == []


def test_csv(tmp_path):
    write_csv(OutputFolder(tmp_path), 'scan', ['Normal', 'CP'], results)
    with open(tmp_path / 'scan' / 'slices.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and rows[1]['p(CP)'] == '0.5' and rows[1]['lesion_area_mm2'] == '86.4'
    assert rows[0]['name'] == "'=name 0" and rows[0]['num_lesions'] == '2' and rows[0]['notes'] == 'a; b'


def test_coco_opens_with_pycocotools(tmp_path):
    write_coco(OutputFolder(tmp_path), 'scan', ['GGO', 'Consolidation'], results)
    coco = COCO(str(tmp_path / 'scan' / 'lesions.json'))
    assert len(coco.imgs) == 2 and len(coco.anns) == 4 and coco.cats[2]['name'] == 'Consolidation'
    first = coco.anns[1]
    assert (first['image_id'], first['category_id'], first['bbox'], first['score']) == (0, 1, [30, 10, 20, 10], 0.9)
    mask = coco.annToMask(first)
    assert mask.shape == (64, 64) and mask.sum() == first['area'] == 200 and mask[10:20, 30:50].all()
