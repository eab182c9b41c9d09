"""Narrow models of the configs in configs/mmdet, which train and predict within seconds."""

from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).resolve().parent.parent / 'configs' / 'mmdet'
# Narrow layers of the same detectors.
NARROW = {
    'affinity_mask-rcnn_r50_fpn': {'backbone.base_channels': 8, 'neck.in_channels': [32, 64, 128, 256]},
    'affinity_mask-rcnn_swin-t_fpn': {
        'backbone.embed_dims': 24,
        'backbone.depths': [1, 1, 1, 1],
        'backbone.num_heads': [1, 2, 3, 6],
        'neck.in_channels': [24, 48, 96, 192],
    },
}


def narrow_config(name, root, work_dir):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    changes = {
        **NARROW[name],
        'roi_head.bbox_head.fc_out_channels': 32,
        'train_cfg.rcnn.sampler.num': 16,
        'train_cfg.rpn_proposal.max_per_img': 30,
        'test_cfg.rpn.max_per_img': 30,
        'roi_head.cls_head.num_classes': 3,
    }
    config.merge_from_dict(
        {
            **{f'model.{key}': value for key, value in changes.items()},
            'data_root': str(root),
            'image_size': (64, 64),
            'work_dir': str(work_dir),
            'train_cfg.max_epochs': 1,
            'train_dataloader.batch_size': 2,
            'log_level': 'WARNING',
            'default_hooks.logger.interval': 1,
            'hash_files': False,
            **{
                f'{split}_dataloader.{key}': value
                for split in ('train', 'val', 'test')
                for key, value in (('num_workers', 0), ('persistent_workers', False))
            },
        }
    )
    return config


def write_model(folder, name='affinity_mask-rcnn_r50_fpn'):
    """Write ``model.pth`` with random weights; return its config and the model."""
    config = narrow_config(name, folder, folder / 'run')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    meta = dict(dataset_meta=dict(classes=('cat',), slice_classes=('indoors', 'outdoors', 'unknown')))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), folder / 'model.pth')
    return config, model.eval()
