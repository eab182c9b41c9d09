"""Every config builds, offline, and says what facts about the paper's training require."""
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATA_SAMPLERS, HOOKS, METRICS, MODELS, TRANSFORMS, VISUALIZERS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmaffinity.utils.config import load_config

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
LEAVES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob('*.py')
                if not {'_base_', 'plans'} & set(path.relative_to(CONFIGS).parts))


def _transforms(dataset: dict) -> list:
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    return [t for part in inner for t in _transforms(part)] + list(dataset.get('pipeline', []))


def _leaf_datasets(dataset: dict) -> list:
    inner = dataset.get('datasets')
    return [leaf for part in inner for leaf in _leaf_datasets(part)] if inner else [dataset]


def _evaluators(config) -> list:
    evaluators = [config.get('val_evaluator'), config.get('test_evaluator')]
    return [e for group in evaluators if group for e in (group if isinstance(group, list) else [group])]


def test_there_is_a_config_for_each_affinity_count_and_data_set():
    for count in (8, 16, 32, 64):
        for suffix in ('', '_ictcf', '_left_out'):
            assert f'affinity_c{count}{suffix}.py' in LEAVES
    assert {'affinity_c8_phantom.py', 'affinity_c8_phantom_ictcf.py'} <= set(LEAVES)


@pytest.mark.parametrize('leaf', LEAVES)
def test_config_builds_offline(leaf):
    config = load_config(CONFIGS / leaf)
    assert config.custom_imports.imports == ['mmaffinity.registration']
    init_default_scope(config.default_scope)
    # On the meta device parameters have shapes but no values, so that nothing is drawn or allocated for them.
    with torch.device('meta'):
        model = MODELS.build(config.model)
        build_optim_wrapper(model, config.optim_wrapper)
    for hook in config.custom_hooks:
        HOOKS.build(hook)
    for evaluator in _evaluators(config):
        METRICS.build(evaluator)
    VISUALIZERS.build({**config.visualizer, 'name': leaf})  # the runner gives each run's name
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if config.get(name) is None:
            continue
        for transform in _transforms(config[name].dataset):
            TRANSFORMS.build(transform)
        for dataset in _leaf_datasets(config[name].dataset):
            assert dataset.data_root, f'{leaf}: {name} has no data root'
        assert DATA_SAMPLERS.get(config[name].sampler.type)


@pytest.mark.parametrize('count', [8, 16, 32, 64])
def test_affinity_configs_have_the_papers_numbers(count):
    config = load_config(CONFIGS / f'affinity_c{count}.py')
    head = config.model.roi_head.cls_head
    assert (head.num_affinities, head.num_rois, head.num_classes) == (count, 8, 3)
    assert dict(config.optim_wrapper.optimizer) == dict(type='Adam', lr=1e-5, weight_decay=1e-3)
    assert config.train_cfg.max_epochs == 100 and config.train_dataloader.batch_size == 1
    assert config.image_size == (512, 512) and not config.param_scheduler
    names = [leaf.ann_file for leaf in _leaf_datasets(config.train_dataloader.dataset)]
    assert names == ['annotations/lesions_train.json', 'annotations/slices_train.json']
    finetuned = load_config(CONFIGS / f'affinity_c{count}_ictcf.py')
    assert finetuned.model.roi_head.cls_head.num_affinities == count
    assert finetuned.model.roi_head.cls_head.num_classes == 2 and finetuned.train_cfg.max_epochs == 10
    assert finetuned.load_from == f'work_dirs/affinity_c{count}/epoch_100.pth'
    guard = next(hook for hook in finetuned.custom_hooks if hook.type == 'CheckpointGuardHook')
    assert guard.new_layers == ['roi_head.cls_head.classifier.4']
    left_out = load_config(CONFIGS / f'affinity_c{count}_left_out.py')
    assert left_out.test_dataloader.dataset.ann_file == 'annotations/slices_train_left_out.json'


def test_steady_configs_change_the_slice_head_only():
    paper, steady = (load_config(CONFIGS / f'affinity_c8{suffix}.py').to_dict() for suffix in ('', '_steady'))
    assert paper['model']['roi_head']['roi_selector']['type'] == 'TopRoISelector'
    for config in (paper, steady):
        for key in ('roi_selector', 'cls_head'):
            config['model']['roi_head'].pop(key)
        config['model']['test_cfg'].pop('rpn')
        config.pop('steady_head', None)
    assert paper == steady
    for suffix in ('', '_phantom', '_ictcf', '_phantom_ictcf'):
        config = load_config(CONFIGS / f'affinity_c8_steady{suffix}.py')
        assert config.model.roi_head.roi_selector.type == 'SoftRoISelector'
        assert config.model.roi_head.cls_head.norm_cfg.type == 'GN' and config.model.roi_head.cls_head.num_rois == 8
        rpn = config.model.test_cfg.rpn
        assert (rpn.nms_pre, rpn.max_per_img, rpn.nms.iou_threshold) == (400, 400, 1.)  # no suppression, one cut
        if suffix.endswith('ictcf'):
            head = 'roi_head.cls_head'
            assert config.model.frozen_parts == ['backbone', 'neck', f'{head}.refinement', f'{head}.vectorization']
            assert config.model.roi_head.cls_head.num_classes == 2
            assert config.param_scheduler[0].end == config.train_cfg.max_epochs  # the last steps are small
            guard = next(hook for hook in config.custom_hooks if hook.type == 'CheckpointGuardHook')
            assert guard.new_layers == ['roi_head.cls_head.classifier.4']


def test_one_field_moves_all_data():
    config = load_config(CONFIGS / 'affinity_c8.py', dict(data_root='/elsewhere', image_size=(256, 192)))
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert {leaf.data_root for leaf in _leaf_datasets(config[name].dataset)} == {'/elsewhere'}
        scales = {t.scale for t in _transforms(config[name].dataset) if t.type == 'Resize'}
        assert scales == {(256, 192)}
    assert config.model.data_preprocessor.statistics == '/elsewhere/annotations/statistics.json'


def test_environment_moves_the_data(monkeypatch):
    monkeypatch.setenv('CNCB_NCOV_ROOT', '/from/environment')
    assert load_config(CONFIGS / 'affinity_c16.py').data_root == '/from/environment'


def test_a_data_set_keeps_its_own_root(tmp_path):
    (tmp_path / 'own.py').write_text(
        f"_base_ = '{CONFIGS}/affinity_c8.py'\n"
        "val_dataloader = dict(dataset=dict(data_root='/own'))\n")
    config = load_config(tmp_path / 'own.py')
    assert config.val_dataloader.dataset.data_root == '/own'
    assert {leaf.data_root for leaf in _leaf_datasets(config.test_dataloader.dataset)} == {config.data_root}


def test_errors_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='affinity_c8.py'):
        load_config(CONFIGS / 'affinity_c9.py')
    broken = tmp_path / 'broken.py'
    broken.write_text('model = dict(\n')
    with pytest.raises(ValueError, match='broken.py'):
        load_config(broken)


def test_public_configs_of_covidx_ct(monkeypatch):
    """Equal classes, as most slices are COVID-19; the crop to the body is in all pipelines of its leaf or in none."""
    monkeypatch.setenv('COVIDX_CT_ROOT', '/covidx')
    monkeypatch.setenv('NIFTI_PAIRS_ROOT', '/pairs')
    for leaf, cropped in (('slice_resnet18_covidx_ct', False), ('slice_resnet18_covidx_ct_body', True)):
        config = load_config(CONFIGS / 'public' / f'{leaf}.py')
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset = config[name].dataset
            types = [transform.type for transform in dataset.pipeline]
            assert dataset.data_root == '/covidx' and config[name].batch_size == 16
            assert types == ['LoadCTSlice', *['CropToBodyBox'] * cropped, 'Resize', 'PackSliceInputs']
        assert config.train_dataloader.dataset.samples_per_class == 10000
        assert 'samples_per_class' not in config.test_dataloader.dataset
    config = load_config(CONFIGS / 'public/affinity_c8_nifti_pairs_covidx_ct.py')
    for name in ('train_dataloader', 'test_dataloader'):
        roots = {leaf.type: leaf.data_root for leaf in _leaf_datasets(config[name].dataset)}
        assert roots == {'LesionDataset': '/pairs', 'SliceDataset': '/covidx'}
    assert config.val_dataloader.dataset.data_root == '/covidx'
    assert config.model.data_preprocessor.statistics == '/covidx/annotations/statistics.json'


def test_public_config_of_folders(monkeypatch):
    monkeypatch.setenv('CLASS_FOLDERS_ROOT', '/classes')
    monkeypatch.setenv('IMAGE_PAIRS_ROOT', '/pairs')
    config = load_config(CONFIGS / 'public/affinity_c8_folders.py')
    for name in ('train_dataloader', 'test_dataloader'):
        roots = {leaf.type: leaf.data_root for leaf in _leaf_datasets(config[name].dataset)}
        assert roots == {'LesionDataset': '/pairs', 'SliceDataset': '/classes'}
    slices = [leaf for name in ('train_dataloader', 'val_dataloader', 'test_dataloader')
              for leaf in _leaf_datasets(config[name].dataset) if leaf.type == 'SliceDataset']
    assert len(slices) == 3 and not any('slice_classes' in leaf for leaf in slices)  # the lists name them
    assert config.val_dataloader.dataset.samples_per_class is None
    assert config.model.data_preprocessor.statistics == '/classes/annotations/statistics.json'
    assert config.model.roi_head.cls_head.num_classes == 2
