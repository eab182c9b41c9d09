"""A synthetic checkpoint in the author's published layout, for tests that must run everywhere."""

import sys
import types
import zlib

import numpy as np
import torch

from mmaffinity.checkpoints.published_layout import published_layout
from mmaffinity.checkpoints.safe_pickle import ForeignGlobal, ForeignObject

# Standard deviations times the square root of the fan-in; small where the scores and boxes would saturate.
GAINS = {
    'rpn.head.bbox_pred': 0.02,
    'rpn.head.cls_logits': 0.07,
    'bbox_pred': 0.1,
    'cls_score': 0.3,
    'class_predict_logits': 0.3,
}


def published_weights(num_affinities: int = 8, num_classes: int = 3, seed: int = 0) -> dict:
    """Fill the layout with numbers that depend only on key and seed."""
    weights: dict = {}
    for entry in published_layout(num_affinities, num_classes):
        if entry.copy_of:
            weights[entry.key] = weights[entry.copy_of].clone()
            continue
        rng = np.random.RandomState(zlib.crc32(f'{entry.key}:{seed}'.encode()))  # guaranteed to stay the same
        module, leaf = entry.key.rsplit('.', 1)
        if leaf == 'num_batches_tracked':
            weights[entry.key] = torch.tensor(7)
            continue
        if leaf == 'running_var' or (leaf == 'weight' and len(entry.shape) == 1):
            value = rng.uniform(0.8, 1.2, entry.shape)
        elif leaf == 'weight':
            gain = next((gain for name, gain in GAINS.items() if module.endswith(name)), 1.4)
            upsampling = module.endswith(('conv_up', 'conv_mask'))
            fan_in = entry.shape[0] if upsampling else np.prod(entry.shape[1:])
            value = rng.standard_normal(entry.shape) * gain / np.sqrt(fan_in)
        else:
            value = rng.standard_normal(entry.shape) * (1 if leaf.startswith('batch_to_feat') else 0.05)
        weights[entry.key] = torch.from_numpy(np.asarray(value, np.float32))
    return weights


def author_module(monkeypatch) -> type:
    """Put a stand-in for the author's anchor generator where pickle finds it, and return the class."""
    for name in ('models', 'models.affinity', 'models.affinity.rpn'):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    cls = type('AnchorGenerator', (torch.nn.Module,), {'__module__': 'models.affinity.rpn'})
    sys.modules['models.affinity.rpn'].AnchorGenerator = cls
    return cls


def generator(**state):
    """Return the author's anchor generator as it is read: an object of a class that is not imported."""
    return ForeignObject(ForeignGlobal('models.affinity.rpn', 'AnchorGenerator'), state)


def published_content(
    monkeypatch,
    weights: dict,
    num_affinities: int = 8,
    sizes: tuple = ((2, 4, 8, 16, 32),),
    ratios: tuple = ((0.1, 0.25, 0.5, 1, 1.5, 2),),
) -> dict:
    """Return everything that the author saved: weights, anchor generator and other fields."""
    generator = author_module(monkeypatch)()
    generator.sizes, generator.aspect_ratios = sizes, ratios
    generator.cell_anchors, generator._cache = [torch.zeros(30, 4)], {}
    return {
        'epoch': '99',
        'model_weights': weights,
        'lrate': 1e-5,
        'anchor_generator': generator,
        'affinity': num_affinities,
        'model_name': f'affinity_model_{num_affinities}',
    }


def synthetic_slice(size: int = 512, seed: int = 0) -> np.ndarray:
    """Return a grey picture of discs, one of them large, and noise: uint8 of shape (size, size)."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[:size, :size]
    image = np.where((x - size / 2) ** 2 + (y - size / 2) ** 2 < (0.45 * size) ** 2, 60.0, 5.0)
    for _ in range(14):
        cx, cy = rng.uniform(0.2, 0.8, 2) * size
        radius = rng.uniform(0.02, 0.12) * size
        image[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = rng.uniform(90, 220)
    return np.clip(image + rng.standard_normal(image.shape) * 6, 0, 255).astype(np.uint8)
