"""Malicious checkpoints at every public entry point: their code does not run, and the error names the file."""

import copy
import runpy
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from malicious import BUILDERS, NUMPY_KINDS, Call, numpy_array, touch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from model_helpers import NARROW
from scan_helpers import write_images, write_model

from mmaffinity.apis import test_model, train_model
from mmaffinity.apis.benchmark import Benchmark
from mmaffinity.apis.evaluated_model import EvaluatedModel
from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.onnx_export import export_onnx
from mmaffinity.apis.onnx_inferencer import OnnxInferencer
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.checkpoints.published import convert_back_file, convert_published_file
from mmaffinity.checkpoints.sharing import export_model
from mmaffinity.utils.config import load_config

FAST = {
    **{f'model.{key}': value for key, value in NARROW.items()},
    'image_size': (64, 64),
    'train_cfg.max_epochs': 1,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'val_cfg': None,
    'val_dataloader': None,
    'val_evaluator': None,
}


@pytest.fixture(scope='module')
def config_file(tmp_path_factory, repo_root):
    return write_model(tmp_path_factory.mktemp('model'), repo_root)[0]


@pytest.fixture(scope='module')
def phantom_config(tiny_phantom, repo_root):
    return load_config(repo_root / 'configs/affinity_c8_phantom.py', {**FAST, 'data_root': str(tiny_phantom / 'cncb_ncov')})


def through_train(config, path, folder):
    config.load_from = str(path)
    train_model(config, work_dir=folder)


def through_resume(config, path, folder):
    folder.mkdir()
    (folder / 'epoch_1.pth').write_bytes(path.read_bytes())
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    train_model(config, work_dir=folder, resume=True)


def through_pretrained(config, path, folder):
    config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    train_model(config, work_dir=folder)


HEAVY = {
    'train': through_train,
    'resume': through_resume,
    'pretrained': through_pretrained,
    'test': lambda config, path, folder: test_model(config, path, work_dir=folder),
}
LIGHT = {
    'load_checkpoint': lambda config, path, folder: load_checkpoint(path),
    'MMEngine': lambda config, path, folder: CheckpointLoader.load_checkpoint(str(path)),
    'inferencer': lambda config, path, folder: AffinityInferencer(config, path, device='cpu'),
    'benchmark': lambda config, path, folder: Benchmark(config, path),
    'figures': lambda config, path, folder: EvaluatedModel.load(Config.fromfile(config), path),
    'export': lambda config, path, folder: export_model(config, path, folder / 'out'),
    'export to ONNX': lambda config, path, folder: export_onnx(config, path, folder / 'out.onnx'),
    'exported model': lambda config, path, folder: OnnxInferencer(path),
    'convert': lambda config, path, folder: convert_published_file(path, folder / 'out.pth'),
    'convert back': lambda config, path, folder: convert_back_file(path, folder / 'out.pth'),
}
# A few kinds of malicious file, which differ in what would run them, are enough for slow entry points.
KINDS_OF_HEAVY = ('os.system', 'getattr chain', 'state of a log buffer', 'before PyTorch 1.6')


@pytest.fixture
def evil(tmp_path):
    """Write a malicious checkpoint; afterwards, check that its code did not run."""
    mark = tmp_path / 'mark'

    def write(kind):
        path = tmp_path / 'evil.pth'
        path.write_bytes(BUILDERS[kind](mark))
        return path

    yield write
    assert not mark.exists(), 'the payload ran'


def test_the_payloads_are_live(tmp_path):
    """Python's own unpickler does run them, so the tests below can fail."""
    kinds = (
        'os.system',
        'exec',
        'eval',
        'inside a log buffer',
        'inside an array',
        'before PyTorch 1.6',
        'getattr chain',
        'protocol 0',
        'state of a log buffer',
        'bare pickle',
    )
    for number, kind in enumerate(kinds):
        (tmp_path / f'{number}.pth').write_bytes(BUILDERS[kind](tmp_path / f'mark{number}'))
    code = f"""
import torch, pickle
for number in range({len(kinds)}):
    for read in (lambda path: torch.load(path, weights_only=False), lambda path: pickle.load(open(path, 'rb'))):
        try:
            read(f'{{number}}.pth')
        except Exception:
            continue"""
    subprocess.run([sys.executable, '-c', code], capture_output=True, timeout=300, cwd=tmp_path)
    assert [kind for number, kind in enumerate(kinds) if not (tmp_path / f'mark{number}').exists()] == []


@pytest.mark.parametrize('kind', BUILDERS)
@pytest.mark.parametrize('entry', LIGHT)
def test_entry_points_that_open_a_file(entry, kind, evil, config_file, tmp_path):
    with pytest.raises(ValueError, match='evil.pth'):
        LIGHT[entry](config_file, evil(kind), tmp_path)


@pytest.mark.parametrize('kind', KINDS_OF_HEAVY)
@pytest.mark.parametrize('entry', HEAVY)
def test_entry_points_that_start_a_run(entry, kind, evil, phantom_config, tmp_path):
    with pytest.raises(ValueError, match='evil.pth|epoch_1.pth'):
        HEAVY[entry](copy.deepcopy(phantom_config), evil(kind), tmp_path / 'work')


def test_the_predict_tool(evil, config_file, tmp_path, repo_root, monkeypatch, capsys):
    arguments = [
        write_images(tmp_path / 'scan', 1),
        '--config',
        config_file,
        '--checkpoint',
        evil('os.system'),
        '--out',
        tmp_path / 'out',
        '--device',
        'cpu',
    ]
    monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, arguments)])
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(str(repo_root / 'tools/predict.py'), run_name='__main__')
    assert 'evil.pth was not loaded' in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_a_downloaded_checkpoint(evil, tmp_path, monkeypatch):
    path = evil('os.system')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(
        torch.hub, 'download_url_to_file', lambda url, target, *_, **__: open(target, 'wb').write(path.read_bytes())
    )
    with pytest.raises(ValueError, match='evil.pth was not loaded'):
        CheckpointLoader.load_checkpoint('https://example.org/models/evil.pth')


def test_resume_does_not_run_the_config_in_a_checkpoint(phantom_config, tmp_path):
    """MMEngine executes meta['config'] as a Python config when it resumes, so plain text is a payload."""
    mark, work_dir = tmp_path / 'mark', tmp_path / 'work'
    train_model(copy.deepcopy(phantom_config), work_dir=work_dir)
    content = load_checkpoint(work_dir / 'epoch_1.pth')
    content['meta']['config'] = f'open({str(mark)!r}, "w").close()\nmodel = None\n'
    torch.save(content, work_dir / 'epoch_1.pth')
    resumed = copy.deepcopy(phantom_config)
    resumed.train_cfg.max_epochs = 2
    assert train_model(resumed, work_dir=work_dir, resume=True).epoch == 2
    assert not mark.exists()


@pytest.mark.parametrize('kind', NUMPY_KINDS)
def test_numpy_data_with_pointers_is_rejected(kind, tmp_path):
    """Not code, but bytes that NumPy would follow as pointers to objects."""
    path = tmp_path / 'evil.pth'
    path.write_bytes(numpy_array(NUMPY_KINDS[kind]))
    with pytest.raises(ValueError, match='evil.pth'):
        load_checkpoint(path)
    with pytest.raises(ValueError, match='evil.pth'):
        CheckpointLoader.load_checkpoint(str(path))


def test_plain_numpy_numbers_are_read(tmp_path):
    history = HistoryBuffer([1.0, 2.5], [1, 1])
    content = {
        'state_dict': {},
        'message_hub': {
            'log_scalars': {'train/loss': history},
            'runtime_info': {
                'a': np.arange(6, dtype='i4').reshape(2, 3),
                'fortran': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
                'scalar': np.float32(1.5),
                'flag': np.bool_(True),
                'in tuple': (np.zeros(2, 'u1'),),
            },
        },
    }
    torch.save(content, tmp_path / 'a.pth')
    read = load_checkpoint(tmp_path / 'a.pth')['message_hub']
    buffer = read['log_scalars']['train/loss']
    assert type(buffer) is HistoryBuffer and buffer.mean() == 1.75 and type(buffer._log_history) is np.ndarray
    for name, value in content['message_hub']['runtime_info'].items():
        found = read['runtime_info'][name]
        assert type(found) is type(value), name
        np.testing.assert_array_equal(np.asarray(found), np.asarray(value))
        assert np.asarray(found).dtype == np.asarray(value).dtype
    big_endian = {'state_dict': {}, 'meta': np.arange(3, dtype='>f8')}
    torch.save(big_endian, tmp_path / 'b.pth')
    with pytest.raises(ValueError, match='numpy.dtype with the state'):
        load_checkpoint(tmp_path / 'b.pth')


def test_pickle_renamed_to_safetensors_is_rejected(evil, tmp_path):
    pytest.importorskip('safetensors')
    path = tmp_path / 'evil.safetensors'
    path.write_bytes(evil('bare pickle').read_bytes())
    with pytest.raises(ValueError, match='evil.safetensors is not a .safetensors file'):
        load_checkpoint(path)


def test_message_names_the_rejected_object(evil):
    with pytest.raises(ValueError, match='evil.pth was not loaded: it contains more than weights and plain data: .*system'):
        load_checkpoint(evil('os.system'))


def test_a_second_pickle_in_the_zip_is_not_read(tmp_path):
    """Records that torch.save does not write are never read."""
    path, mark = tmp_path / 'more.pth', tmp_path / 'mark'
    torch.save({'state_dict': {'w': torch.arange(2.0)}}, path)
    import pickle

    with zipfile.ZipFile(path, 'a') as file:
        file.writestr('archive/extra.pkl', pickle.dumps(touch(mark)))
        file.writestr('archive/code/__init__.py', f'open({str(mark)!r}, "w")')
    try:
        assert torch.equal(load_checkpoint(path)['state_dict']['w'], torch.arange(2.0))
    except ValueError as error:
        assert 'more.pth' in str(error)
    assert not mark.exists()


def test_nested_call_is_rejected(tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save({'meta': Call(Call(getattr, 'text', 'join'), ['a'])}, path)
    with pytest.raises(ValueError, match='evil.pth was not loaded'):
        load_checkpoint(path)
