"""Variants of computing predictions: which are available, and that the model builds for each."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from scan_helpers import write_images

from mmaffinity.apis.benchmark import Benchmark
from mmaffinity.apis.variants import Variant, default_variants, predictions_of
from mmaffinity.utils.config import load_config, own_config


def test_variants_match_the_machine():
    names = [variant.name for variant in default_variants(load_config('affinity_c8'), seeds=2, cuda=True)]
    assert names[:2] == ['float64', '1 thread'] and names[-3:] == ['noise 1e-06, draw 0', 'noise 1e-06, draw 1', 'CUDA']
    assert {'2 threads', '4 threads', 'batches of 8', 'channels first', 'not folded', 'instructions: default'} <= set(names)


def test_a_model_without_rois_is_an_error(repo_root, tmp_path):
    config = repo_root / 'configs' / 'baselines' / 'resnet18_slice.py'
    bench = Benchmark(config, overrides={'image_size': (64, 64)})
    torch.save(dict(state_dict=bench.model.state_dict()), tmp_path / 'model.pth')
    folder = write_images(tmp_path / 'in', 1)
    with pytest.raises(ValueError, match='resnet18_slice.py does not classify slices from RoIs: give the config'):
        predictions_of(bench.config, tmp_path / 'model.pth', [folder], Variant('1 thread'), None)


@pytest.mark.parametrize(
    'name, plain',
    [
        ('affinity_c8', {'backbone.fold_norm': False, 'roi_head.cls_head.type': 'AffinityClsHead'}),
        ('published/affinity_c8', {'backbone.fold_norm': False}),
        ('baselines/single_shot', {'backbone.fold_norm': False}),
        ('mmdet/affinity_mask-rcnn_r50_fpn', None),
    ],
)
def test_settings_match_the_model(name, plain):
    """Only folded parts have a plain form, and every setting builds."""
    init_default_scope('mmdet')
    config = load_config(name)
    settings = {variant.name: variant.settings for variant in default_variants(config, seeds=0, cuda=False)}
    expected = plain and {f'model.{key}': value for key, value in plain.items()}
    assert settings.get('not folded') == expected
    for changes in filter(None, settings.values()):
        model = own_config(config, {**changes, 'model.backbone.init_cfg': None}).model
        built = MODELS.build(model)
        for key, value in (plain or {}).items():
            part, _, option = key.rpartition('.')
            if f'model.{key}' in changes and option == 'type':
                assert type(built.get_submodule(part)).__name__ == value
