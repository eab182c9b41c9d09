"""Detectors of MMDetection with an affinity head: from a COCO checkpoint, in both stages, on colour images."""

import copy
import json

import pytest
import torch
from mmdet.registry import MODELS
from mmdet_helpers import NARROW, narrow_config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from run_helpers import run_state

from mmaffinity.apis import test_model as evaluate_model
from mmaffinity.structures import SliceDataSample

NEW = ('roi_head.bbox_head.fc_', 'roi_head.mask_head.conv_logits', 'roi_head.cls_head', 'roi_head.classification_branch')


def write_coco_checkpoint(config, path):
    """Weights of the Mask R-CNN that the config starts from, with COCO's 80 classes."""
    init_default_scope('mmdet')
    model = copy.deepcopy(config.model)
    model.type = 'MaskRCNN'
    for key in ('cls_head', 'roi_selector', 'mask_feature_head'):
        model.roi_head.pop(key, None)
    model.roi_head.type = 'StandardRoIHead'
    model.roi_head.bbox_head.num_classes = model.roi_head.mask_head.num_classes = 80
    torch.manual_seed(0)
    model = MODELS.build(model)
    model.init_weights()
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return model.state_dict()


@pytest.mark.parametrize('name', NARROW)
def test_training_from_a_coco_checkpoint_and_testing(name, tiny_phantom, tmp_path, monkeypatch):
    root = tiny_phantom / 'cncb_ncov'
    monkeypatch.setenv('IMAGE_PAIRS_ROOT', str(root))
    config = narrow_config(name, root, tmp_path / 'run')
    coco = write_coco_checkpoint(config, tmp_path / 'coco.pth')
    config.load_from = str(tmp_path / 'coco.pth')
    runner = Runner.from_cfg(config)
    assert len(runner.model.neck.fpn_convs) == 4 and runner.model.neck.num_outs == 5
    before = {}
    train = runner.model.train_step

    def first_step(*args, **kwargs):
        before.update(before or {key: value.clone() for key, value in runner.model.state_dict().items()})
        return train(*args, **kwargs)

    runner.model.train_step = first_step
    runner.train()
    # Everything but the new layers comes from the checkpoint; the classification branch starts as a copy.
    assert all(torch.equal(before[key], value) for key, value in coco.items() if not key.startswith(NEW))
    branch = 'roi_head.classification_branch.bbox_head.shared_fcs.0.weight'
    assert torch.equal(before[branch], coco['roi_head.bbox_head.shared_fcs.0.weight'])
    after = run_state(tmp_path / 'run/epoch_1.pth')
    for part in ('backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head', 'roi_head.cls_head'):
        assert any(not torch.equal(after[key], value) for key, value in before.items() if key.startswith(part)), part
    (log,) = (tmp_path / 'run').rglob('vis_data/scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    losses = {key: value for row in rows for key, value in row.items() if key.startswith('loss_')}
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask', 'loss_slice'} == set(losses)
    assert 'slice/f1' in rows[-1]

    metrics = evaluate_model(
        config, tmp_path / 'run/epoch_1.pth', work_dir=tmp_path / 'test', verbose=False, show_dir=tmp_path / 'pictures'
    )
    assert {'slice/f1', 'lesion/AP50', 'coco/segm_mAP'} <= set(metrics)
    assert list((tmp_path / 'pictures').glob('*.png'))


@pytest.mark.parametrize('name', NARROW)
def test_colours_matter(name, tmp_path):
    """Three different channels reach all five levels: swapping red and blue changes them."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(narrow_config(name, tmp_path, tmp_path).model)
    model.init_weights()
    model.eval()
    meta = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0), img_path='a.png', task='classification')
    image = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)
    maps = []
    model.neck.register_forward_hook(lambda module, args, levels: maps.append(levels))
    for inputs in (image, image.flip(0)):
        with torch.no_grad():
            (sample,) = model.test_step(dict(inputs=[inputs], data_samples=[SliceDataSample(metainfo=meta)]))
        assert len(sample.pred_slice.roi_boxes) == 8 and sample.pred_slice.logits.shape == (3,)
    assert [len(levels) for levels in maps] == [5, 5]
    assert not any(torch.allclose(first, second, rtol=1e-3) for first, second in zip(*maps))
