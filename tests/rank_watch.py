"""A hook for distributed runs that records what each process does, and can kill one."""

import hashlib
import json
import os
from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class RankWatch(Hook):
    """Append a row per step to ``<folder>/rank_<rank>.jsonl``; keep gradients and weights of the first ``keep`` steps.

    Environment: RANK_WATCH_DIE=<rank>:<iteration> ends that process there without notifying the others.
    RANK_WATCH_SPOIL=<rank>:<iteration> makes a weight of that process NaN there.
    """

    priority = 'LOWEST'

    def __init__(self, keep=2):
        self.keep = keep

    def before_train(self, runner):
        def note(optimizer, args, kwargs):
            self.gradients = {
                name: None if value.grad is None else value.grad.clone()
                for name, value in runner.model.module.named_parameters()
            }

        runner.optim_wrapper.optimizer.register_step_pre_hook(note)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if os.environ.get('RANK_WATCH_DIE') == f'{get_rank()}:{runner.iter}':
            os._exit(7)
        if os.environ.get('RANK_WATCH_SPOIL') == f'{get_rank()}:{runner.iter}':
            next(runner.model.module.backbone.parameters()).data.fill_(float('nan'))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        model, samples = runner.model.module, data_batch['data_samples']
        branch, head = model.roi_head.classification_branch, model.roi_head
        row = dict(
            task=samples[0].task,
            slices=[sample.img_path for sample in samples],
            lesions=[len(sample.gt_instances) if 'gt_instances' in sample else None for sample in samples],
            weights=digest(model.parameters()),
            branch=digest(branch.parameters()),
            copied=all(torch.equal(value, head.state_dict()[name]) for name, value in branch.state_dict().items()),
            terms=sorted(name for name in outputs if 'loss' in name),
        )
        with open(Path(runner.work_dir) / f'rank_{get_rank()}.jsonl', 'a') as file:
            file.write(json.dumps(row) + '\n')
        if get_rank() == 0 and runner.iter < self.keep:
            torch.save(
                dict(gradients=self.gradients, weights=dict(model.named_parameters())),
                Path(runner.work_dir) / f'after_step_{runner.iter + 1}.pt',
            )


def digest(tensors):
    """SHA-256 of the bits of tensors."""
    return hashlib.sha256(b''.join(tensor.detach().cpu().numpy().tobytes() for tensor in tensors)).hexdigest()
