"""Code shared by converters that create a data root: slices, links or copies, lists, statistics, record."""

import json
from dataclasses import asdict, dataclass, field

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.conversion import SplitOptions
from mmaffinity.datasets.conversion.results import RECORD, ResultFolder, UnusableError
from mmaffinity.scans import ReadOptions


@dataclass
class Options:
    every: int = 2
    reading: ReadOptions = field(default_factory=ReadOptions)


def test_slices_are_stored_without_loss(tmp_path):
    grey = np.arange(64 * 40, dtype=np.uint64).reshape(64, 40).astype(np.uint8)
    ResultFolder('test', tmp_path).write_slice('slices/a/0001.png', grey)
    assert np.array_equal(cv2.imread(str(tmp_path / 'slices/a/0001.png'), cv2.IMREAD_UNCHANGED), grey)


def test_lists_statistics_and_record(tmp_path):
    result = ResultFolder('test', tmp_path / 'final', SplitOptions(0, 0, folds=2), workers=1)
    result.summary.warn('take care')
    result.summary.add_problems(['a: damaged'])
    rows = [dict(img_path=f'{number}.png', label=number, patient_id=f'p{number}', scan_id=None) for number in (0, 1)]
    with result.filling():
        for number, level in enumerate((51, 102)):
            result.write_slice(f'{number}.png', np.full((8, 8), level, np.uint8))
        assert not (tmp_path / 'final').exists()
        summary = result.write_slice_lists(
            rows, dict(p0='a', p1='b'), 'ab', 'here', '2 slices', options=asdict(Options()), labels='x'
        )
    folder = tmp_path / 'final/annotations'
    train, fold = (json.loads((folder / f'{name}.json').read_text()) for name in ('slices_train', 'fold_0/slices_test'))
    assert train == dict(metainfo=dict(dataset='test', slice_classes=['a', 'b'], source='here'), data_list=rows)
    assert fold['data_list'] == rows[:1]
    statistics = json.loads((folder / 'statistics.json').read_text())
    assert statistics == summary.statistics
    assert statistics == dict(mean=pytest.approx(0.3), std=pytest.approx(0.1), num_slices=2, source='slices_train.json')
    record = json.loads((tmp_path / 'final' / RECORD).read_text())
    assert record == dict(
        dataset='test',
        labels='x',
        notes=['take care'],
        left_out=['a: damaged'],
        options=dict(every=2, reading=dict(window=dict(level=-600, width=1500), rescale=None, max_value=None, color=False)),
        splits=dict(val_share=0, test_share=0, folds=2, seed=0),
    )
    assert [path.relative_to(folder).as_posix() for path in summary.files] == [
        'slices_train.json',
        *(f'fold_{fold}/slices_{part}.json' for fold in (0, 1) for part in ('train', 'test')),
        'statistics.json',
    ]


def test_notes_of_scans_are_counted(tmp_path):
    result = ResultFolder('test', tmp_path)
    notes = [('a', ['warning: tilted by 3 degrees', 'old']), ('b', ['warning: tilted by 5 degrees', 'old'])]
    result.warn_of_notes(notes, 'scans')
    assert result.summary.warnings == ['tilted by 3 degrees (2 of 2 scans; this is a)', 'old']


def test_unusable_input_is_skipped_but_other_errors_stop_the_run(tmp_path):

    def convert(number):
        if number == 2:
            raise UnusableError('2 is damaged')
        if number > 3:
            raise OSError(28, 'No space left on device')
        return 10 * number

    result = ResultFolder('test', tmp_path, workers=2)
    assert result.convert_each(convert, [1, 2, 3], 'numbers') == [10, 30] and result.summary.problems == ['2 is damaged']
    with pytest.raises(OSError, match='No space left'):
        result.convert_each(convert, [1, 4], 'numbers')


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'in/P1').mkdir(parents=True)
    for name in ('P1/a.png', 'P1/b.png'):
        (tmp_path / 'in' / name).write_text(name)
    (tmp_path / 'out').mkdir()
    return tmp_path / 'in'


def test_link_covers_all_slices_and_survives_a_move(folder, tmp_path):
    ResultFolder('test', tmp_path / 'out').place_slices('slices', folder, ['P1/a.png'], copy=False)
    (tmp_path / 'out').rename(tmp_path / 'moved')
    assert (tmp_path / 'moved/slices').is_symlink() and (tmp_path / 'moved/slices/P1/b.png').read_text() == 'P1/b.png'


def test_only_listed_slices_are_copied(folder, tmp_path):
    ResultFolder('test', tmp_path / 'out').place_slices('slices', folder, ['P1/a.png'], copy=True)
    assert not (tmp_path / 'out/slices').is_symlink()
    assert [path.read_text() for path in (tmp_path / 'out/slices/P1').iterdir()] == ['P1/a.png']


def test_error_suggests_copies_if_links_are_not_supported(folder, tmp_path, monkeypatch):

    def refused(*args, **keywords):
        raise OSError(1, 'Operation not permitted')

    monkeypatch.setattr('pathlib.Path.symlink_to', refused)
    with pytest.raises(ValueError, match=r'cannot create a link to .*in .*Operation not permitted.*with --copy'):
        ResultFolder('test', tmp_path / 'out').place_slices('slices', folder, [], copy=False)


def test_result_inside_the_input_is_rejected(folder, tmp_path):
    for out in (folder, folder / 'P1/out'):
        with pytest.raises(ValueError, match='is inside the slice folder'):
            ResultFolder('test', out).refuse_inside(folder)
    for out in (tmp_path / 'in_2', tmp_path):
        ResultFolder('test', out).refuse_inside(folder)
