"""Model descriptions are data: every known way to run code from a config is rejected by name."""

import copy
import json

import pytest
from mmengine.config import Config

import mmaffinity  # noqa: F401  (registers the modules)
from mmaffinity.utils.config import load_config
from mmaffinity.utils.shared_config import allowed_types, check_shared_config, decode, encode, read_shared_config

MODEL = dict(
    type='SliceClassifier',
    data_preprocessor=dict(type='SliceDataPreprocessor', normalization='slice'),
    backbone=dict(type='ResNet', depth=18),
    neck=None,
    test_cfg=dict(nms=dict(type='nms', iou_threshold=0.5)),
)
GOOD = dict(
    model=MODEL,
    slice_classes=['a', 'b'],
    image_size=(64, 64),
    test_dataloader=dict(dataset=dict(pipeline=[dict(type='Resize', scale=(64, 64)), dict(type='PackSliceInputs')])),
)


def write(path, config, **more):
    path.write_text(json.dumps({'format': 'mmaffinity model', 'schema': 1, 'config': config, **more}))
    return path


def test_a_description_is_read(tmp_path):
    path = write(tmp_path / 'm.json', encode(GOOD))
    assert read_shared_config(path).to_dict() == GOOD
    assert load_config(path).test_dataloader.dataset.pipeline[0].scale == (64, 64)


def changed(where, value):
    config = copy.deepcopy(GOOD)
    *path, last = where
    node = config
    for key in path:
        node = node[key]
    node[last] = value
    return config


BACKBONE, NMS = ('model', 'backbone'), ('model', 'test_cfg', 'nms')
PIPELINE = ('test_dataloader', 'dataset', 'pipeline')


@pytest.mark.parametrize(
    'where, value, named',
    [
        (('custom_imports',), dict(imports=['evil']), 'custom_imports'),
        (('_base_',), ['evil.py'], '_base_'),
        (('default_scope',), 'evil', 'default_scope'),
        (('model', '_scope_'), 'evil', '_scope_'),
        (('model', 'custom_imports'), dict(imports=['evil']), 'custom_imports'),
        (('model', 'type'), 'os.system', 'os.system'),
        (('model', 'backbone', 'type'), 'mmengine.Config.fromfile', 'mmengine.Config.fromfile'),
        ((*NMS, 'type'), '__import__("os").system("touch mark")', '__import__'),
        (('model', 'backbone', 'init_cfg'), dict(type='Pretrained', checkpoint='https://example.org/evil.pth'), 'init_cfg'),
        (('model', 'backbone', 'pretrained'), 'evil.pth', 'pretrained'),
        (('model', 'backbone', 'type'), 'TimmBackbone', 'TimmBackbone'),
        (('model', 'data_preprocessor', 'statistics'), '/etc/passwd', 'statistics'),
        ((*PIPELINE, 0, 'type'), 'LoadImageFromFile', 'LoadImageFromFile'),
        ((*PIPELINE, 0, 'type'), 'Albu', 'Albu'),
        ((*PIPELINE, 0, 'type'), ['Resize'], 'test_dataloader'),
        (('model', 'backbone', 'type'), ['ResNet'], 'ResNet'),
        (PIPELINE, [], 'test_dataloader'),
        (('test_dataloader', 'dataset', 'ann_file'), 'evil.pkl', 'test_dataloader'),
        (('slice_classes',), 'COVID-19', 'slice_classes'),
        (('model',), None, 'model'),
        (('model', 'type'), None, 'type'),
    ],
)
def test_fields_that_run_code_or_open_files_are_rejected(where, value, named, tmp_path):
    path = write(tmp_path / 'm.json', encode(changed(where, value)))
    with pytest.raises(ValueError, match='m.json is not a valid model description') as error:
        load_config(path)
    assert named in str(error.value)


@pytest.mark.parametrize('text', ['', '{', '[]', '{"model": {}}', '{"format": "other"}', '[' * 100000, '\xff'])
def test_other_json_is_rejected(text, tmp_path):
    path = tmp_path / 'm.json'
    path.write_text(text, encoding='latin-1')
    with pytest.raises(ValueError, match='m.json is not a model description'):
        load_config(path)


def test_later_schema_and_deep_nesting(tmp_path):
    with pytest.raises(ValueError, match='schema 2.*update mmaffinity'):
        load_config(write(tmp_path / 'm.json', encode(GOOD), schema=2))
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match='deeper than 40'):
        load_config(write(tmp_path / 'm.json', {'model': deep}))


def test_yaml_is_not_read(tmp_path):
    """In MMEngine it is code: the reader calls the function that !!python/object/apply names."""
    path, mark = tmp_path / 'm.yaml', tmp_path / 'mark'
    path.write_text(f'model: !!python/object/apply:os.system ["touch {mark}"]\n')
    with pytest.raises(ValueError, match='m.yaml is not a config'):
        load_config(path)
    assert not mark.exists()


def test_why_mmengine_does_not_read_them(tmp_path):
    """As the module's docstring says, _base_ in a JSON config runs a Python file in MMEngine."""
    mark = tmp_path / 'mark'
    (tmp_path / 'evil.py').write_text(f'open({str(mark)!r}, "w").close()\n')
    (tmp_path / 'm.json').write_text('{"_base_": "evil.py"}')
    Config.fromfile(tmp_path / 'm.json')
    assert mark.exists()


def test_variables_are_not_substituted(tmp_path, monkeypatch):
    """MMEngine would substitute environment variables for {{$NAME:default}}, so a secret could end up in a report."""
    monkeypatch.setenv('SECRET', 'hush')
    assert load_config(write(tmp_path / 'm.json', encode(changed(('slice_classes',), ['{{$SECRET:x}}'])))).slice_classes == [
        '{{$SECRET:x}}'
    ]


def test_allowed_types_open_nothing():
    assert {'AffinityRCNN', 'GreyResNet', 'TopRoISelector', 'PackSliceInputs', 'nms'} <= allowed_types()
    assert not allowed_types() & {'LoadCTSlice', 'TimmBackbone', 'Pretrained', 'LoadImageFromFile'}
    assert all(name.isidentifier() for name in allowed_types())


@pytest.mark.parametrize('value', [{1: 2}, object(), {'a': print}, {'tuple': []}])
def test_encode_takes_plain_data_only(value):
    with pytest.raises(ValueError, match='not plain data'):
        encode(value)


def test_decode_reverses_encode():
    value = dict(a=(1, [2.0, (None, True)], 'x'), b={}, c=dict(tuple=1, other=()))
    assert decode(json.loads(json.dumps(encode(value)))) == value
    check_shared_config(GOOD)
