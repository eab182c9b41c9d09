import json
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.conversion import ConversionSummary, SplitOptions
from mmaffinity.datasets.conversion.slice_files import RECORD, warn_of_notes, write_annotations, write_slice
from mmaffinity.scans import ReadOptions


@dataclass
class Options:
    every: int = 2
    reading: ReadOptions = field(default_factory=ReadOptions)


def test_slices_are_stored_without_loss(tmp_path):
    grey = np.arange(64 * 40, dtype=np.uint64).reshape(64, 40).astype(np.uint8)
    write_slice(tmp_path, 'slices/a/0001.png', grey)
    assert np.array_equal(cv2.imread(str(tmp_path / 'slices/a/0001.png'), cv2.IMREAD_UNCHANGED), grey)


def test_lists_statistics_and_record(tmp_path):
    for number, level in enumerate((51, 102)):
        write_slice(tmp_path, f'{number}.png', np.full((8, 8), level, np.uint8))
    summary = ConversionSummary('test')
    summary.warn('take care')
    summary.add_problems(['a: damaged'])
    lists = {'slices_train': dict(data_list=[]), 'fold_0/slices_test': dict(data_list=[1])}
    write_annotations(
        tmp_path, lists, ['0.png', '1.png'], Options(), SplitOptions(folds=2), summary, 'final', 1, None, labels='x'
    )
    assert json.loads((tmp_path / 'annotations/fold_0/slices_test.json').read_text()) == dict(data_list=[1])
    statistics = json.loads((tmp_path / 'annotations/statistics.json').read_text())
    assert statistics == summary.statistics
    assert statistics == dict(mean=pytest.approx(0.3), std=pytest.approx(0.1), num_slices=2, source='slices_train.json')
    record = json.loads((tmp_path / RECORD).read_text())
    assert record == dict(
        dataset='test',
        labels='x',
        notes=['take care'],
        left_out=['a: damaged'],
        options=dict(every=2, reading=dict(window=dict(level=-600, width=1500), rescale=None, max_value=None)),
        splits=dict(val_share=0.1, test_share=0.2, folds=2, seed=0),
    )
    assert [path.as_posix() for path in summary.files] == [
        'final/annotations/slices_train.json',
        'final/annotations/fold_0/slices_test.json',
        'final/annotations/statistics.json',
    ]


def test_notes_of_scans_are_counted():
    summary = ConversionSummary('test')
    notes = [('a', ['warning: tilted by 3 degrees', 'old']), ('b', ['warning: tilted by 5 degrees', 'old'])]
    warn_of_notes(notes, 'scans', summary)
    assert summary.warnings == ['tilted by 3 degrees (2 of 2 scans; this is a)', 'old']
