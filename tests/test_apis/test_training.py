"""Training and testing as a user runs them: configs, commands, misuse."""

import json

import pytest
import torch
from model_helpers import NARROW

from mmaffinity.apis import test_model, train_model
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.utils.config import load_config

# A few steps at 64 x 64 with narrow layers: computation matters here, not learning.
FAST = {
    **{f'model.{key}': value for key, value in NARROW.items()},
    'image_size': (64, 64),
    'train_cfg.max_epochs': 1,
    'train_dataloader.batch_size': 2,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'model.train_cfg.rcnn.sampler.num': 16,
    'model.test_cfg.rpn.max_per_img': 30,
    'model.train_cfg.rpn_proposal.max_per_img': 30,
    'default_hooks.logger.interval': 1,
}
BOTH_STAGES = {'train_dataloader.sampler.segmentation_epochs': 0}  # from the first epoch on
FROZEN_LOSSES = [2.1672, 1.1183, 1.4612, 1.1134, 1.3172, 1.1092]
NO_VAL = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}


def fast_config(repo_root, name, data_root, **extra):
    stages = {} if 'ictcf' in name else BOTH_STAGES
    config = load_config(repo_root / 'configs' / name, {**FAST, **stages, 'data_root': str(data_root), **extra})
    if 'val_cfg' in config:
        config.merge_from_dict(NO_VAL)
    return config


def logged_losses(work_dir):
    """Return the logged values of each step, without times."""
    path = next(work_dir.glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if 'time' not in key and key != 'memory'} for row in rows]


@pytest.fixture(scope='module')
def trained(tiny_phantom, repo_root, tmp_path_factory):
    """A model trained for a few steps of both stages, with its work directory."""
    work_dir = tmp_path_factory.mktemp('trained')
    runner = train_model(fast_config(repo_root, 'affinity_c8_phantom.py', tiny_phantom / 'cncb_ncov'), work_dir=work_dir)
    return runner, work_dir, work_dir / 'epoch_1.pth'


def test_training_alternates_and_is_bitwise_reproducible(trained, tiny_phantom, repo_root, tmp_path):
    runner, work_dir, checkpoint = trained
    losses = logged_losses(work_dir)
    assert len(losses) == runner.max_iters == 2 * 3
    train_model(fast_config(repo_root, 'affinity_c8_phantom.py', tiny_phantom / 'cncb_ncov'), work_dir=tmp_path)
    again = logged_losses(tmp_path)
    assert again == losses, [(a, b) for a, b in zip(losses, again) if a != b]
    first, second = load_checkpoint(checkpoint)['state_dict'], load_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_fused_adam_takes_the_same_steps(repo_root):
    config = load_config(repo_root / 'configs' / 'affinity_c8.py').optim_wrapper.optimizer
    arguments = {name: value for name, value in config.items() if name not in ('type', 'fused')}
    weights = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    results = []
    for fused in (False, config.fused):
        generator = torch.Generator().manual_seed(1)
        parameter, untouched = (torch.nn.Parameter(weights.clone()) for _ in range(2))
        optimizer = torch.optim.Adam([parameter, untouched], **arguments, fused=fused)
        for _ in range(50):
            parameter.grad = torch.randn(weights.shape, generator=generator) * 1e-3
            optimizer.step()
        assert torch.equal(untouched, weights)  # no gradient, no step: what a stage does not train
        results.append((parameter - weights).detach())
    assert config.fused and results[0].abs().max() > 1e-4
    # Steps of 1e-5 are added to weights of magnitude 1, of which float32 keeps 6e-8.
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=2e-6)


def test_frozen_losses(trained):
    """Losses of the first run with seed 0, as recorded by this test; other processors round slightly differently."""
    losses = [round(row['loss'], 4) for row in logged_losses(trained[1])]
    assert losses == pytest.approx(FROZEN_LOSSES, rel=2e-2), f'frozen {FROZEN_LOSSES}, got {losses}'


def test_tensorboard_can_be_enabled_in_the_config(trained, tiny_phantom, repo_root, tmp_path):
    pytest.importorskip('tensorboard', reason='tensorboard is not installed: install the extra tensorboard')
    config = fast_config(repo_root, 'affinity_c8_phantom_ictcf.py', tiny_phantom / 'ictcf', load_from=str(trained[2]))
    config.visualizer.vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    train_model(config, work_dir=tmp_path)
    assert list(tmp_path.rglob('events.out.tfevents*'))


def test_branch_is_copied_in_the_checkpoint(trained):
    weights = load_checkpoint(trained[2])['state_dict']
    copied = [name for name in weights if name.startswith('roi_head.classification_branch.')]
    assert copied
    for name in copied:
        assert torch.equal(weights[name], weights[name.replace('classification_branch.', '')]), name


def test_testing_writes_metrics_predictions_and_images(trained, tiny_phantom, repo_root, tmp_path):
    config = fast_config(repo_root, 'affinity_c8_phantom.py', tiny_phantom / 'cncb_ncov')
    metrics = test_model(
        config,
        trained[2],
        work_dir=tmp_path,
        out=tmp_path / 'out.json',
        show_dir=tmp_path / 'show',
        html=tmp_path / 'test.html',
    )
    assert {'lesion/AP50', 'lesion/AP75', 'lesion/mAP', 'coco/segm_mAP', 'slice/f1', 'slice/accuracy'} <= set(metrics)
    content = json.loads((tmp_path / 'out.json').read_text())
    assert content['metrics'] == pytest.approx(metrics) and content['slice_classes'] == ['Normal', 'CP', 'COVID-19']
    slices = json.loads((tiny_phantom / 'cncb_ncov/annotations/slices_test.json').read_text())['data_list']
    assert [row['label'] for row in content['slices']] == [row['label'] for row in slices]
    scores, logits = (
        torch.tensor([row[name] for row in content['slices']], dtype=torch.float64) for name in ('scores', 'logits')
    )
    torch.testing.assert_close(scores, 1 / (1 + torch.exp(-logits)), rtol=1e-5, atol=1e-7)
    assert [row['pred'] for row in content['slices']] == logits.argmax(1).tolist() and scores.shape[1] == 3
    right = sum(row['pred'] == row['label'] for row in content['slices'])
    assert metrics['slice/accuracy'] == pytest.approx(right / len(slices))
    pictures = {path.name for path in (tmp_path / 'show').glob('*.png')}
    assert 'confusion_matrix.png' in pictures and ('affinity.png' in pictures) == (right > 0)
    assert len(pictures) >= len(slices) + len(content['lesions']) + 1
    page = (tmp_path / 'test.html').read_text()
    assert page.count('data-kind="jpeg"') == len(slices) + len(content['lesions'])
    for title in ('Affinity representation Y', 'Lesions: prediction, mask scores, annotation', 'Training'):
        assert f'"title":"{title}"' in page
    assert page.count('data-kind="png"') >= 2 and 'needs a model' not in page
    assert all(row['rel_path'] in page for row in content['slices'] + content['lesions'])


def test_predictions_are_bitwise_reproducible_with_any_workers(trained, tiny_phantom, repo_root, tmp_path):
    """Every number of the results file, floats as written, without and with two loader workers."""
    found = []
    for number, workers in enumerate((0, 0, 2)):
        config = fast_config(
            repo_root, 'affinity_c8_phantom.py', tiny_phantom / 'cncb_ncov', **{'test_dataloader.num_workers': workers}
        )
        test_model(config, trained[2], work_dir=tmp_path, out=tmp_path / f'{number}.json')
        content = json.loads((tmp_path / f'{number}.json').read_text())
        found.append({key: content[key] for key in ('metrics', 'slices', 'lesions')})
    assert found[0]['slices'] and found[0]['lesions'] and found[0] == found[1] == found[2]


def test_fine_tuning_starts_from_the_checkpoint_with_a_new_last_layer(trained, tiny_phantom, repo_root, tmp_path):
    config = fast_config(repo_root, 'affinity_c8_phantom_ictcf.py', tiny_phantom / 'ictcf', load_from=str(trained[2]))
    config.optim_wrapper.optimizer.lr = 0.0
    train_model(config, work_dir=tmp_path)
    before = load_checkpoint(trained[2])['state_dict']
    after = load_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']
    changed = {name for name in before if before[name].shape != after[name].shape or not torch.equal(before[name], after[name])}
    weights = {name for name in changed if 'running_' not in name and 'num_batches' not in name}
    assert weights == {'roi_head.cls_head.classifier.4.weight', 'roi_head.cls_head.classifier.4.bias'}
    assert len(after['roi_head.cls_head.classifier.4.weight']) == 2
    # The normalisation is stored with the weights.
    assert torch.equal(before['data_preprocessor.mean'], after['data_preprocessor.mean'])


def test_resumed_run_reaches_the_same_weights(trained, tiny_phantom, repo_root, tmp_path):
    straight = fast_config(repo_root, 'affinity_c8_phantom.py', tiny_phantom / 'cncb_ncov')
    straight.train_cfg.max_epochs = 2
    train_model(straight, work_dir=tmp_path / 'straight')
    for epochs, resume in ((1, False), (2, True)):
        config = fast_config(repo_root, 'affinity_c8_phantom.py', tiny_phantom / 'cncb_ncov')
        config.train_cfg.max_epochs = epochs
        train_model(config, work_dir=tmp_path / 'resumed', resume=resume)
    first = load_checkpoint(tmp_path / 'straight/epoch_2.pth')['state_dict']
    second = load_checkpoint(tmp_path / 'resumed/epoch_2.pth')['state_dict']
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_new_data_set_in_a_short_leaf_config(shared_dir, repo_root, tmp_path):
    """A config as a user would write it: two folders, two classes, real slices of many sizes."""
    leaf = tmp_path / 'my_slices.py'
    leaf.write_text(f"""_base_ = '{repo_root}/configs/affinity_c8_ictcf.py'
data_root = '{shared_dir}/data/ct_slices'
slice_classes = ('NonCOVID', 'COVID')
load_from = None
model = dict(backbone=dict(init_cfg=None), data_preprocessor=dict(normalization='slice', statistics=None))
train_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(_delete_=True, type='SliceFolderDataset', data_root=data_root, slice_classes=slice_classes,
                 folds=5, fold=0, pipeline={{{{_base_.slice_pipeline}}}}))
test_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(_delete_=True, type='SliceFolderDataset', data_root=data_root, slice_classes=slice_classes,
                 folds=5, fold=0, test_mode=True, pipeline={{{{_base_.slice_pipeline}}}}))
""")
    assert len(leaf.read_text().splitlines()) < 20
    narrow = {f'model.{key}': value for key, value in NARROW.items()}
    config = load_config(
        leaf,
        {
            **narrow,
            'image_size': (64, 64),
            'train_cfg.max_epochs': 1,
            'default_hooks.logger.interval': 1,
            'train_dataloader.batch_size': 6,
        },
    )
    train_model(config, work_dir=tmp_path / 'run')
    losses = logged_losses(tmp_path / 'run')
    assert losses and all('loss_slice' in row and 'loss_mask' not in row for row in losses)
    config = load_config(leaf, {**narrow, 'image_size': (64, 64)})
    metrics = test_model(config, tmp_path / 'run/epoch_1.pth', work_dir=tmp_path / 'run', out=tmp_path / 'out.json')
    rows = json.loads((tmp_path / 'out.json').read_text())['slices']
    found = [row['pred'] == 1 for row in rows if row['label'] == 1]
    assert metrics['slice/sensitivity_COVID'] == pytest.approx(sum(found) / len(found))


@pytest.mark.parametrize(
    'options, sentence',
    [
        ({'model.roi_head.cls_head.num_affinities': 16}, r'C\* \(num_affinities\) is 8 in the checkpoint and 16'),
        ({'model.roi_head.cls_head.num_classes': 2}, r'3 slice classes .*num_classes'),
        ({'model.roi_head.cls_head.num_rois': 6}, r'beta \(num_rois\) is 8 in the checkpoint and 6'),
    ],
)
def test_checkpoint_of_another_model_is_rejected(options, sentence, trained, tiny_phantom, repo_root, tmp_path):
    config = fast_config(repo_root, 'affinity_c8_phantom.py', tiny_phantom / 'cncb_ncov', **options)
    with pytest.raises(ValueError, match=sentence):
        test_model(config, trained[2], work_dir=tmp_path)


def test_missing_imagenet_weights_offline_are_reported(tiny_phantom, repo_root, tmp_path, monkeypatch, no_network):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'mmengine'))
    config = fast_config(repo_root, 'affinity_c8.py', tiny_phantom / 'cncb_ncov')
    with pytest.raises(ValueError, match=r'model\.backbone\.init_cfg\.checkpoint=PATH.*model\.backbone\.init_cfg=None'):
        train_model(config, work_dir=tmp_path)
    assert no_network and all('download.pytorch.org' in attempt for attempt in no_network)
    no_network.clear()  # this test is about the attempt
