"""Models shared as data: exports predict the same at every entry point, and incomplete exports are rejected."""

import hashlib
import json
import runpy
import sys

import pytest
import torch
from scan_helpers import chest, to_grey, write_images, write_model

from mmaffinity.apis import test_model, train_model
from mmaffinity.apis.benchmark import Benchmark
from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.checkpoints.sharing import describe_model, export_model
from mmaffinity.utils.config import load_config
from mmaffinity.utils.shared_config import check_shared_config, decode, encode

pytest.importorskip('safetensors', reason='safetensors is not installed: install the extra safetensors')


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope='module')
def model(tmp_path_factory, repo_root):
    return write_model(tmp_path_factory.mktemp('model'), repo_root)


@pytest.fixture(scope='module')
def shared(model, tmp_path_factory):
    return export_model(*model, tmp_path_factory.mktemp('shared') / 'narrow')


def test_exported_files_predict_like_the_checkpoint(model, shared):
    weights, description = shared
    (expected,) = AffinityInferencer(*model, device='cpu')(to_grey(chest()))
    (found,) = AffinityInferencer(description, weights, device='cpu')(to_grey(chest()))
    assert found.probabilities == expected.probabilities  # bit for bit
    assert torch.equal(found.sample.pred_instances.masks, expected.sample.pred_instances.masks)
    assert found.slice_classes == ('Normal', 'CP', 'COVID-19')


def test_synthetic_training_data_stay_on_record(model, tmp_path):
    """In shared files too, so that a prediction with them carries the warning."""
    content = torch.load(model[1], weights_only=True)
    marked = tmp_path / 'marked.pth'
    torch.save(dict(content, meta=dict(content.get('meta') or {}, synthetic_data=True)), marked)
    weights, description = export_model(model[0], marked, tmp_path / 'shared')
    assert AffinityInferencer(model[0], marked, device='cpu').description['synthetic_data'] is True
    assert AffinityInferencer(description, weights, device='cpu').description['synthetic_data'] is True
    assert 'synthetic_data' not in AffinityInferencer(*model, device='cpu').description


def test_exported_content(model, shared):
    weights, description = shared
    content = json.loads(description.read_text())
    assert content['weights'] == dict(file='narrow.safetensors', sha256=digest(weights), bytes=weights.stat().st_size)
    assert content['source']['checkpoint_sha256'] == digest(model[1])
    assert content['slice_classes'] == ['Normal', 'CP', 'COVID-19'] and content['notice'].startswith('Research use only')
    assert content['versions']['torch'] == torch.__version__
    assert str(model[0].parent) not in description.read_text()  # no local path
    assert sorted(path.name for path in weights.parent.iterdir()) == ['narrow.json', 'narrow.safetensors']
    state = load_checkpoint(weights)['state_dict']
    expected = load_checkpoint(model[1])['state_dict']
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)


def test_config_round_trips(model, shared):
    """Including tuples, which MMDetection distinguishes from lists."""
    original, read = load_config(model[0]), load_config(shared[1])
    described = describe_model(original, ['Normal', 'CP', 'COVID-19'])
    assert read.model.to_dict() == described['model'] and isinstance(read.model.backbone.strides, tuple)
    assert original.model.train_cfg.to_dict() == read.model.train_cfg.to_dict()
    assert load_config(shared[1], {'model.roi_head.cls_head.num_rois': 4}).model.roi_head.cls_head.num_rois == 4


def test_every_model_of_configs_can_be_described(repo_root):
    paths = [path for path in sorted((repo_root / 'configs').rglob('*.py')) if not {'_base_', 'plans'} & set(path.parts)]
    assert len(paths) > 30
    for path in paths:
        if path.stem == 'slice_resnet18_covidx_ct_body':  # a scan to predict has no body boxes
            with pytest.raises(ValueError, match='CropToBodyBox.* use a model that was trained on whole slices'):
                describe_model(load_config(path), ['a', 'b'])
            continue
        if path.stem.startswith('roi_head_'):  # reads stored RoIs, not slices
            continue
        description = describe_model(load_config(path), ['a', 'b'])
        check_shared_config(description)
        assert decode(json.loads(json.dumps(encode(description)))) == description, path


def test_other_entry_points_accept_safetensors(model, shared, tmp_path):
    weights, description = shared
    loaded, expected = Benchmark(description, weights).model.state_dict(), load_checkpoint(model[1])['state_dict']
    assert loaded.keys() == expected.keys() and all(torch.equal(loaded[name], value) for name, value in expected.items())
    again = export_model(model[0], weights, tmp_path / 'again.safetensors')
    assert again[0].read_bytes() == weights.read_bytes()  # equal weights, equal bytes


def test_the_predict_tool_needs_no_python_config(shared, tmp_path, repo_root, monkeypatch, capsys):
    weights, description = shared
    arguments = [
        write_images(tmp_path / 'scan', 1),
        '--config',
        description,
        '--checkpoint',
        weights,
        '--out',
        tmp_path / 'out',
        '--device',
        'cpu',
        '--overlays',
        'none',
    ]
    monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, arguments)])
    runpy.run_path(str(repo_root / 'tools/predict.py'), run_name='__main__')
    assert 'scan: 1 of 1 slice;' in capsys.readouterr().out


def test_training_and_testing_report_missing_data(shared, tmp_path):
    weights, description = shared
    with pytest.raises(ValueError, match='narrow.json has no data set in train_dataloader'):
        train_model(description, work_dir=tmp_path)
    with pytest.raises(ValueError, match='narrow.json has no data set in test_dataloader'):
        test_model(description, weights, work_dir=tmp_path)


def test_resume_rejects_weights_without_optimizer(shared, tmp_path, tiny_phantom, repo_root):
    (tmp_path / 'epoch_1.safetensors').write_bytes(shared[0].read_bytes())
    config = load_config(repo_root / 'configs/affinity_c8_phantom.py', {'data_root': str(tiny_phantom / 'cncb_ncov')})
    with pytest.raises(ValueError, match='--resume cannot continue from .*epoch_1.safetensors.* no optimizer'):
        train_model(config, work_dir=tmp_path, resume=True)


def test_weights_of_another_export_are_rejected(shared, model, tmp_path):
    for path in shared:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw = bytearray(shared[0].read_bytes())
    raw[-1] ^= 1
    (tmp_path / shared[0].name).write_bytes(raw)
    with pytest.raises(ValueError, match='does not match narrow.json next to it'):
        load_checkpoint(tmp_path / shared[0].name)
    (tmp_path / 'narrow.json').unlink()
    assert load_checkpoint(tmp_path / shared[0].name)['meta'] == {}


def test_failed_export_keeps_existing_files(model, shared, tmp_path, monkeypatch):
    old = b'the older weights'
    (tmp_path / 'out.safetensors').write_bytes(old)

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mmaffinity.checkpoints.sharing.sha256_of', fail)
    with pytest.raises(OSError, match='No space'):
        export_model(*model, tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['out.safetensors']
    assert (tmp_path / 'out.safetensors').read_bytes() == old


def test_models_that_cannot_be_shared(model, tmp_path):
    with pytest.raises(ValueError, match='narrow.py cannot be shared as data: .*Albu'):
        config = load_config(model[0])
        config.model.backbone.type = 'Albu'
        export_model(config, model[1], tmp_path / 'out')
    with pytest.raises(ValueError, match='does not match the config'):
        export_model(model[0], model[1], tmp_path / 'out', {'model.roi_head.cls_head.num_affinities': 16})
    with pytest.raises(ValueError, match='choose another output file'):
        (tmp_path / 'same.safetensors').write_bytes(b'')
        export_model(model[0], tmp_path / 'same.safetensors', tmp_path / 'same')
