"""User data without statistics.json: the README's config from start to end, and the command that stores statistics."""

import json
import os
import re
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from model_helpers import NARROW

from mmaffinity.apis import test_model as evaluate_model
from mmaffinity.apis import train_model
from mmaffinity.apis.statistics import write_statistics
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.engine import GreyLevelStatisticsHook
from mmaffinity.utils.config import load_config
from mmaffinity_cli import main

FAST = {
    **{f'model.{key}': value for key, value in NARROW.items()},
    'image_size': (64, 64),
    'train_cfg.max_epochs': 1,
    'model.backbone.init_cfg': None,
    'train_dataloader.batch_size': 4,
    'load_from': None,
    **{
        f'{split}_dataloader.{key}': value
        for split in ('train', 'test')
        for key, value in (('num_workers', 0), ('persistent_workers', False))
    },
}


@pytest.fixture
def leaf(tmp_path, repo_root, monkeypatch):
    """The README's my_slices.py next to two folders of PNGs, in the working directory."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for label, name in enumerate(('healthy', 'covid')):
        folder = tmp_path / 'data/my_slices' / name
        folder.mkdir(parents=True)
        for number in range(10):
            img = random.integers(0, 100, (48, 48), np.uint8)
            img[10:30, 10:30] += 100 * label
            cv2.imwrite(str(folder / f'p{label}{number}_1.png'), img)
    text = re.search(r'```python\n(# my_slices\.py\n.*?)```', (repo_root / 'README.md').read_text(), re.S)[1]
    base = f"_base_ = '{repo_root}/configs/affinity_c8_ictcf.py'"
    text, number = re.subn(r'^_base_ = .*$', lambda match: base, text, flags=re.M)
    assert number == 1
    (tmp_path / 'my_slices.py').write_text(text)
    return tmp_path / 'my_slices.py'


def training_paths(config):
    runner = Runner.build_dataloader(config.train_dataloader, seed=0)
    return [runner.dataset.get_data_info(index)['img_path'] for index in range(len(runner.dataset))]


def test_readme_example_needs_no_statistics_file(leaf, monkeypatch, capsys):
    config = load_config('my_slices.py', FAST)
    train_model(config, verbose=False)
    console = capsys.readouterr()
    assert 'data/my_slices/annotations/statistics.json does not exist' in console.out + console.err
    pixels = np.stack([cv2.imread(path, cv2.IMREAD_UNCHANGED) for path in training_paths(config)]) / 255
    assert 0 < len(pixels) < 20
    kept = json.loads((leaf.parent / 'work_dirs/my_slices/statistics.json').read_text())
    assert (kept['mean'], kept['std'], kept['num_slices']) == (
        pytest.approx(pixels.mean()),
        pytest.approx(pixels.std()),
        len(pixels),
    )
    weights = load_checkpoint('work_dirs/my_slices/epoch_1.pth')['state_dict']
    assert float(weights['data_preprocessor.mean']) == np.float32(kept['mean'])
    assert float(weights['data_preprocessor.std']) == np.float32(kept['std'])

    # Testing reads them from the checkpoint and computes nothing.
    monkeypatch.setattr(GreyLevelStatisticsHook, '_find', None)
    os.remove('work_dirs/my_slices/statistics.json')
    metrics = evaluate_model(config, 'work_dirs/my_slices/epoch_1.pth', verbose=False, out='results.json')
    rows = json.loads((leaf.parent / 'results.json').read_text())['slices']
    assert metrics['slice/accuracy'] == pytest.approx(np.mean([row['pred'] == row['label'] for row in rows]))
    assert not os.path.exists('data/my_slices/annotations')

    # So does training that starts from the checkpoint, on other data.
    start = load_config(
        'my_slices.py', {**FAST, 'load_from': 'work_dirs/my_slices/epoch_1.pth', 'train_dataloader.dataset.fold': 1}
    )
    train_model(start, work_dir='second', verbose=False)
    again = load_checkpoint('second/epoch_1.pth')['state_dict']
    assert torch.equal(again['data_preprocessor.mean'], weights['data_preprocessor.mean'])


def command(monkeypatch, capsys, *arguments):
    """Run ``mmaffinity statistics``; return exit code, output and errors."""
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'statistics', *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def test_command_stores_statistics_with_the_data(leaf, monkeypatch, capsys):
    file = leaf.parent / 'data/my_slices/annotations/statistics.json'
    code, out, _ = command(monkeypatch, capsys, leaf)
    first = file.read_text()
    assert code == 0 and 'Wrote ' in out and 'statistics.json' in out and 'all but fold 0 of 5' in out
    train_model(load_config(leaf, FAST), work_dir='w', verbose=False)
    assert float(load_checkpoint('w/epoch_1.pth')['state_dict']['data_preprocessor.mean']) == np.float32(
        json.loads(first)['mean']
    )
    assert not (leaf.parent / 'w/statistics.json').exists()
    assert not list(file.parent.glob('*.part'))
    code, out, _ = command(monkeypatch, capsys, leaf)
    assert code == 0 and 'already has these values' in out and file.read_text() == first

    # The folder is not a class and contains nothing that belongs to one.
    with pytest.MonkeyPatch.context() as patch:
        logged = []
        patch.setattr('mmaffinity.datasets.slice_folder_dataset.print_log', lambda message, **kwargs: logged.append(message))
        training_paths(load_config(leaf))
        assert logged == []

    # With other slices, nothing is replaced unless requested.
    cv2.imwrite(str(leaf.parent / 'data/my_slices/covid/new_1.png'), np.full((48, 48), 250, np.uint8))
    code, _, error = command(monkeypatch, capsys, leaf, '--cfg-options', 'train_dataloader.dataset.folds=None')
    assert code == 2 and '--overwrite replaces it' in error and file.read_text() == first
    code, out, _ = command(monkeypatch, capsys, leaf, '--out', 'other.json')
    assert code == 0 and (leaf.parent / 'other.json').exists() and file.read_text() == first
    code, *_ = command(monkeypatch, capsys, leaf, '--overwrite', '--cfg-options', 'train_dataloader.dataset.folds=None')
    assert code == 0 and json.loads(file.read_text())['num_slices'] == 21


@pytest.mark.parametrize(
    'options, message',
    [
        ({'model.data_preprocessor.normalization': 'slice'}, "does not use the mean and std .*normalization='slice'.*--out"),
        ({'model.data_preprocessor.mean': 0.5, 'model.data_preprocessor.std': 0.5}, 'sets mean=0.5 and std=0.5 itself'),
        ({'model.data_preprocessor.statistics': None}, 'names no file in model.data_preprocessor.statistics; give --out'),
        ({'data_root': 'nowhere'}, 'no such folder of slices'),
    ],
)
def test_command_rejects_invalid_use(leaf, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        write_statistics(load_config(leaf, options))


def test_unwritable_data_root(leaf):
    (leaf.parent / 'data/my_slices/annotations').write_text('a file where the folder should be')
    with pytest.raises(ValueError, match='statistics.json cannot be written .*--out FILE'):
        write_statistics(leaf)


def test_the_command_agrees_with_the_converters(tiny_phantom, repo_root, tmp_path):
    for name, folder in (('affinity_c8_phantom', 'cncb_ncov'), ('affinity_c8_phantom_ictcf', 'ictcf')):
        config = load_config(repo_root / f'configs/{name}.py', {'data_root': str(tiny_phantom / folder)})
        written = write_statistics(config, out=tmp_path / f'{folder}.json')
        theirs = json.loads((tiny_phantom / folder / 'annotations/statistics.json').read_text())
        assert all(written.content[key] == theirs[key] for key in ('mean', 'std', 'num_slices'))
