"""Every config builds and trains with MMEngine's runner, offline, and has the paper's training settings."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmdet.registry import DATA_SAMPLERS, DATASETS
from mmengine.config import Config
from mmengine.runner import Runner
from run_helpers import SMALL, differences, run_state

from mmaffinity.apis import train_model
from mmaffinity.engine import SliceTestLoop, SliceTrainLoop, missing_guards
from mmaffinity.utils.config import load_config

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if not {'_base_', 'plans'} & set(path.relative_to(CONFIGS).parts)
)


def _transforms(dataset: dict) -> list:
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    return [t for part in inner for t in _transforms(part)] + list(dataset.get('pipeline', []))


def _leaf_datasets(dataset: dict) -> list:
    inner = dataset.get('datasets')
    return [leaf for part in inner for leaf in _leaf_datasets(part)] if inner else [dataset]


def test_there_is_a_config_for_each_affinity_count_and_data_set():
    for count in (8, 16, 32, 64):
        for suffix in ('', '_ictcf', '_left_out'):
            assert f'affinity_c{count}{suffix}.py' in LEAVES
    assert {'affinity_c8_phantom.py', 'affinity_c8_phantom_ictcf.py'} <= set(LEAVES)


class _NoSlices(list):
    """Stand-in for a dataloader, without building its data set."""

    dataset = SimpleNamespace(metainfo=dict(slice_classes=('a', 'b')))


@pytest.mark.parametrize('leaf', LEAVES)
def test_mmengines_runner_builds_every_config(leaf, tmp_path, monkeypatch):
    """With MMEngine alone: model, hooks, optimizer, and loops with their metrics and dataloaders."""
    config = Config.fromfile(CONFIGS / leaf)
    assert config.custom_imports.imports == ['mmaffinity']
    config.work_dir, config.log_level = str(tmp_path), 'ERROR'
    loaders = []
    monkeypatch.setattr(Runner, 'build_dataloader', staticmethod(lambda loader, **kw: loaders.append(loader) or _NoSlices()))
    runner = Runner.from_cfg(config)
    assert missing_guards(runner.cfg) == []
    runner.build_optim_wrapper(runner.cfg.optim_wrapper)
    assert isinstance(runner.train_loop, SliceTrainLoop) and isinstance(runner.test_loop, SliceTestLoop)
    assert (config.val_dataloader is None) == (runner.val_loop is None)
    assert len(loaders) == 2 + (runner.val_loop is not None)
    for loader in loaders:
        assert '${' not in str(loader)
        assert DATA_SAMPLERS.get(loader.sampler.type)
        for dataset in _leaf_datasets(loader.dataset):
            built = DATASETS.build({**dataset, 'lazy_init': True})
            assert built.data_root == dataset.data_root
            transforms = {type(transform).__name__: transform for transform in built.pipeline.transforms}
            if 'LoadStoredRoIs' not in transforms:  # it has no pixels to resize
                assert transforms['Resize'].scale == tuple(config.image_size)


def losses_of(work_dir):
    (file,) = Path(work_dir).rglob('vis_data/scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [{name: value for name, value in row.items() if 'time' not in name} for row in rows]


def test_mmengines_runner_trains_like_the_command(repo_root, tiny_phantom, tmp_path, monkeypatch):
    """Losses, metrics and weights are bitwise equal; the data root is changed like any config field."""
    monkeypatch.chdir(tmp_path)
    changes = {**SMALL, 'data_root': str(tiny_phantom / 'cncb_ncov')}
    config = Config.fromfile(repo_root / 'configs/affinity_c8_phantom.py')
    config.merge_from_dict({**changes, 'work_dir': str(tmp_path / 'runner')})
    Runner.from_cfg(config).train()
    config = load_config(repo_root / 'configs/affinity_c8_phantom.py', changes)
    train_model(config, work_dir=tmp_path / 'command', verbose=False)
    losses = losses_of(tmp_path / 'runner')
    assert losses == losses_of(tmp_path / 'command')
    assert {'loss_mask', 'loss_slice', 'slice/f1'} <= set().union(*losses)
    first, second = (run_state(tmp_path / name / 'epoch_2.pth') for name in ('runner', 'command'))
    assert differences(first, second) == []


@pytest.mark.parametrize('count', [8, 16, 32, 64])
def test_affinity_configs_have_the_papers_numbers(count):
    config = load_config(CONFIGS / f'affinity_c{count}.py')
    head = config.model.roi_head.cls_head
    assert (head.num_affinities, head.num_rois, head.num_classes) == (count, 8, 3)
    assert dict(config.optim_wrapper.optimizer) == dict(type='Adam', fused=True, lr=1e-5, weight_decay=1e-3)
    assert config.train_cfg.max_epochs == 100 and config.train_dataloader.batch_size == 1
    assert config.image_size == (512, 512) and not config.param_scheduler
    names = [leaf.ann_file for leaf in _leaf_datasets(config.train_dataloader.dataset)]
    assert names == ['annotations/lesions_train.json', 'annotations/slices_train.json']
    finetuned = load_config(CONFIGS / f'affinity_c{count}_ictcf.py')
    assert finetuned.model.roi_head.cls_head.num_affinities == count
    assert finetuned.model.roi_head.cls_head.num_classes == 2 and finetuned.train_cfg.max_epochs == 10
    assert finetuned.load_from == f'work_dirs/affinity_c{count}/epoch_100.pth'
    assert finetuned.default_hooks.checkpoint_guard.new_layers == ['roi_head.cls_head.classifier.4']
    left_out = load_config(CONFIGS / f'affinity_c{count}_left_out.py')
    assert left_out.test_dataloader.dataset.ann_file == 'annotations/slices_train_left_out.json'


def test_steady_configs_change_the_slice_head_only():
    paper, steady = (load_config(CONFIGS / f'affinity_c8{suffix}.py').to_dict() for suffix in ('', '_steady'))
    assert paper['model']['roi_head']['roi_selector']['type'] == 'TopRoISelector'
    for config in (paper, steady):
        for key in ('roi_selector', 'cls_head'):
            config['model']['roi_head'].pop(key)
        config['model']['test_cfg'].pop('rpn')
        for field in ('steady_head', 'steady_selection'):
            config.pop(field, None)
    assert paper == steady
    for suffix in ('', '_phantom', '_ictcf', '_phantom_ictcf'):
        config = load_config(CONFIGS / f'affinity_c8_steady{suffix}.py')
        assert config.model.roi_head.roi_selector.type == 'SoftRoISelector'
        assert config.model.roi_head.cls_head.norm_cfg.type == 'GN' and config.model.roi_head.cls_head.num_rois == 8
        rpn = config.model.test_cfg.rpn
        assert (rpn.nms_pre, rpn.max_per_img, rpn.nms.iou_threshold) == (400, 400, 1.0)  # no suppression, one cut
        if suffix.endswith('ictcf'):
            head = 'roi_head.cls_head'
            assert config.model.frozen_parts == ['backbone', 'neck', f'{head}.refinement', f'{head}.vectorization']
            assert config.model.roi_head.cls_head.num_classes == 2
            assert config.param_scheduler[0].end == config.train_cfg.max_epochs  # the last steps are small
            assert config.default_hooks.checkpoint_guard.new_layers == ['roi_head.cls_head.classifier.4']


def test_data_root_applies_to_all_data_sets():
    config = load_config(CONFIGS / 'affinity_c8.py', dict(data_root='/elsewhere', image_size=(256, 192)))
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert {leaf.data_root for leaf in _leaf_datasets(config[name].dataset)} == {'/elsewhere'}
        scales = {t.scale for t in _transforms(config[name].dataset) if t.type == 'Resize'}
        assert scales == {(256, 192)}


def test_environment_variable_sets_the_data_root(monkeypatch):
    monkeypatch.setenv('CNCB_NCOV_ROOT', '/from/environment')
    assert load_config(CONFIGS / 'affinity_c16.py').data_root == '/from/environment'


def test_a_data_set_keeps_its_own_root(tmp_path):
    (tmp_path / 'own.py').write_text(
        f"_base_ = '{CONFIGS}/affinity_c8.py'\nval_dataloader = dict(dataset=dict(data_root='/own'))\n"
    )
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
    """Classes are balanced, because most slices are COVID-19; all pipelines of a leaf crop to the body or none does."""
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


def test_public_config_of_folders(monkeypatch):
    monkeypatch.setenv('CLASS_FOLDERS_ROOT', '/classes')
    monkeypatch.setenv('IMAGE_PAIRS_ROOT', '/pairs')
    config = load_config(CONFIGS / 'public/affinity_c8_folders.py')
    for name in ('train_dataloader', 'test_dataloader'):
        roots = {leaf.type: leaf.data_root for leaf in _leaf_datasets(config[name].dataset)}
        assert roots == {'LesionDataset': '/pairs', 'SliceDataset': '/classes'}
    slices = [
        leaf
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader')
        for leaf in _leaf_datasets(config[name].dataset)
        if leaf.type == 'SliceDataset'
    ]
    assert len(slices) == 3 and not any(leaf.slice_classes for leaf in slices)  # the lists name them
    assert config.val_dataloader.dataset.samples_per_class is None
    assert config.model.roi_head.cls_head.num_classes == 2


def test_from_scratch_phases_are_compatible(monkeypatch):
    """One detector and one slice head in three configs, on slices of one size, without ImageNet weights."""
    monkeypatch.setenv('STORED_ROIS', '/rois')
    lesions, joint, head, plain = (
        load_config(CONFIGS / f'public/{name}.py')
        for name in ('mask_rcnn_folders', 'affinity_c8_from_scratch', 'roi_head_c8_folders', 'slice_resnet18_folders')
    )
    for part in ('backbone', 'neck', 'rpn_head', 'data_preprocessor', 'train_cfg', 'test_cfg'):
        assert {key: value for key, value in lesions.model[part].items()} == dict(joint.model[part]), part
    for part in ('bbox_head', 'mask_head', 'bbox_roi_extractor', 'mask_roi_extractor'):
        assert lesions.model.roi_head[part] == joint.model.roi_head[part]
    assert joint.model.roi_head.cls_head == head.model.roi_head.cls_head
    assert joint.model.roi_head.mask_feature_head.type == 'PooledMaskFeatureHead'
    assert joint.model.roi_head.cls_head.in_channels == 2 * joint.model.roi_head.mask_head.conv_out_channels
    assert lesions.image_size == joint.image_size == (256, 256)
    assert all(config.model.backbone.init_cfg is None for config in (lesions, joint, plain))
    strides = {
        lesions.model.rpn_head.anchor_generator.strides[0],
        *lesions.model.roi_head.bbox_roi_extractor.featmap_strides,
        4 * lesions.model.backbone.strides[1] * lesions.model.backbone.strides[2],
    }
    assert strides == {8}
    for config in (lesions, joint, head, plain):  # the last steps are small
        assert config.param_scheduler[-1].end == config.train_cfg.max_epochs
    flips = [
        any(t.type == 'RandomFlip' for t in _transforms(config[name].dataset))
        for config in (lesions, plain)
        for name in ('train_dataloader', 'test_dataloader')
    ]
    assert flips == [True, False, True, False]
    assert all(t.folder == '/rois' for name in ('train_dataloader', 'test_dataloader') for t in _transforms(head[name].dataset))
