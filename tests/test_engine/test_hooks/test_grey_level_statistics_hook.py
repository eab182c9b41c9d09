"""Missing statistics are computed once, stored and reused, and never replace known ones."""

import json
import logging
import os
import socket
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from run_helpers import join, process
from torch import distributed

from mmaffinity.datasets.training_statistics import training_statistics
from mmaffinity.engine import GreyLevelStatisticsHook
from mmaffinity.models import SliceDataPreprocessor


def write_slices(root, levels=(40, 60, 90, 200)):
    for number, level in enumerate(levels):
        folder = root / 'ab'[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'{number}.png'), np.full((8, 8 + number), level, np.uint8))


def build(root, **kwargs):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(
            dict(
                type='SliceFolderDataset',
                data_root=str(root),
                slice_classes=('a', 'b'),
                pipeline=[dict(type='LoadCTSlice'), dict(type='PackSliceInputs')],
                **kwargs,
            )
        )


def runner_of(root, preprocessor, work_dir, resumed=False, **kwargs):
    return SimpleNamespace(
        model=SimpleNamespace(data_preprocessor=preprocessor),
        work_dir=str(work_dir),
        _resume=resumed,
        train_dataloader=SimpleNamespace(dataset=build(root, **kwargs)),
        cfg=Config({}),
        logger=logging.getLogger('statistics'),
    )


@pytest.fixture
def root(tmp_path):
    write_slices(tmp_path / 'data')
    return tmp_path / 'data'


def start(root, work_dir, caplog, preprocessor=None, **kwargs):
    """Start a training; return the preprocessor and what was logged."""
    preprocessor = preprocessor or SliceDataPreprocessor(statistics=str(root / 'annotations/statistics.json'))
    caplog.clear()
    with caplog.at_level(logging.INFO, 'statistics'):
        GreyLevelStatisticsHook().before_train(runner_of(root, preprocessor, work_dir, **kwargs))
    return preprocessor, caplog.text


def test_missing_statistics_are_computed_stored_and_reused(root, tmp_path, caplog, monkeypatch):
    work_dir, expected = tmp_path / 'run', training_statistics(build(root))
    before = sorted(root.rglob('*'))
    preprocessor, text = start(root, work_dir, caplog)
    assert not preprocessor.needs_statistics
    assert float(preprocessor.mean) == np.float32(expected['mean']) and float(preprocessor.std) == np.float32(expected['std'])
    assert json.loads((work_dir / 'statistics.json').read_text()) == expected
    assert 'annotations/statistics.json does not exist' in text and '4 training slices' in text
    assert f'stored in {work_dir / "statistics.json"}' in text and 'mmaffinity statistics CONFIG' in text
    assert sorted(root.rglob('*')) == before  # nothing is written to the data
    monkeypatch.setattr('mmaffinity.engine.hooks.grey_level_statistics_hook.training_statistics', None)  # a call would fail
    again, text = start(root, work_dir, caplog)
    assert torch.equal(again.mean, preprocessor.mean) and torch.equal(again.std, preprocessor.std)
    assert 'computed earlier' in text and str(work_dir / 'statistics.json') in text


@pytest.mark.parametrize('content', ['{', '[]', '{"mean": 0.5, "std": 0.5, "slices_sha256": "other"}'])
def test_stored_values_of_other_slices_are_not_reused(root, tmp_path, caplog, content):
    (tmp_path / 'statistics.json').write_text(content)
    preprocessor, text = start(root, tmp_path, caplog)
    assert float(preprocessor.mean) == pytest.approx(training_statistics(build(root))['mean'])
    assert ('replacing those of other slices' in text) == ('other' in content)


def test_known_values_are_kept(root, tmp_path, caplog):
    """Nothing is computed if the values come from the config, a file or a checkpoint."""
    for preprocessor in (SliceDataPreprocessor(mean=0.25, std=0.5), SliceDataPreprocessor('slice'), None):
        if preprocessor is None:
            preprocessor = SliceDataPreprocessor()
            preprocessor.load_state_dict(SliceDataPreprocessor(mean=0.25, std=0.5).state_dict())
        _, text = start(root, tmp_path / 'run', caplog, preprocessor)
        assert not text and not (tmp_path / 'run').exists()
        assert preprocessor.normalization != 'global' or float(preprocessor.mean) == 0.25


def test_models_without_the_preprocessor_are_unaffected(root, tmp_path, caplog):
    assert start(root, tmp_path / 'run', caplog, torch.nn.Identity())[1] == '' and not (tmp_path / 'run').exists()


def test_file_of_other_slices_is_used_with_a_warning(root, tmp_path, caplog):
    file = root / 'annotations/statistics.json'
    file.parent.mkdir()
    file.write_text(json.dumps(training_statistics(build(root))))
    assert start(root, tmp_path, caplog)[1] == ''
    cv2.imwrite(str(root / 'a/new.png'), np.full((8, 8), 250, np.uint8))
    preprocessor, text = start(root, tmp_path, caplog)
    assert 'was computed from other slices' in text and '--overwrite' in text
    assert float(preprocessor.mean) == np.float32(json.loads(file.read_text())['mean'])
    assert start(root, tmp_path, caplog, resumed=True)[1] == ''
    # A checkpoint provides values other than the file's.
    assert start(root, tmp_path, caplog, SliceDataPreprocessor(statistics=str(file), mean=0.1, std=0.1))[1] == ''
    # The converters' file does not record its slices.
    file.write_text(json.dumps(dict(mean=0.5, std=0.5, num_slices=3, source='slices_train.json')))
    assert start(root, tmp_path, caplog)[1] == ''


def test_a_relative_file_is_below_the_data_root(root, tmp_path, caplog):
    """MMEngine's runner builds the model before the data, so the file is read when training starts."""
    (root / 'annotations').mkdir()
    (root / 'annotations/statistics.json').write_text(json.dumps(dict(mean=0.25, std=0.5)))
    preprocessor = SliceDataPreprocessor(statistics='annotations/statistics.json')
    assert preprocessor.needs_statistics
    assert start(root, tmp_path / 'run', caplog, preprocessor)[1] == ''
    assert (float(preprocessor.mean), float(preprocessor.std)) == (0.25, 0.5) and not (tmp_path / 'run').exists()
    (root / 'annotations/statistics.json').write_text('{"mean": 0.25}')
    with pytest.raises(ValueError, match='statistics.json has no valid "mean" and "std"'):
        start(root, tmp_path / 'run', caplog, SliceDataPreprocessor(statistics='annotations/statistics.json'))


def _train(rank, port, root, work_dir):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    distributed.init_process_group('gloo')
    preprocessor = SliceDataPreprocessor()
    try:
        GreyLevelStatisticsHook().before_train(runner_of(root, preprocessor, work_dir))
        found = [float(preprocessor.mean), float(preprocessor.std)]
    except ValueError as error:
        found = str(error)
    (work_dir / f'{rank}.json').write_text(json.dumps(found))
    distributed.destroy_process_group()


def test_two_processes_have_the_same_values_or_the_same_error(root, tmp_path):
    for broken in (False, True):
        if broken:
            (root / 'a/0.png').write_bytes(b'no image')
        work_dir = tmp_path / f'run_{broken}'
        work_dir.mkdir()
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        assert join([process(_train, rank, port, root, work_dir) for rank in range(2)]) == [0, 0]
        first, second = (json.loads((work_dir / f'{rank}.json').read_text()) for rank in range(2))
        assert first == second
        if broken:
            assert 'is not an image' in first and not (work_dir / 'statistics.json').exists()
        else:
            expected = training_statistics(build(root))
            assert first == [np.float32(expected['mean']), np.float32(expected['std'])]
