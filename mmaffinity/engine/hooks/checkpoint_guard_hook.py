"""Load checkpoints completely or not at all."""

import logging
from collections.abc import Sequence

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from mmaffinity.checkpoints import explain_mismatch
from mmaffinity.checkpoints.model import other_config


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Reject a checkpoint that does not match the model; MMEngine would load it partially and log a warning.

    A resumed or tested model must also have been trained with the data's class order; different class names are logged.

    Args:
        new_layers: prefixes of layers to initialise from scratch when training starts from another model's checkpoint
            (``load_from``), whose weights for them are ignored. A resumed or tested model loads all weights.
    """

    def __init__(self, new_layers: Sequence[str] = ()) -> None:
        self.new_layers = tuple(new_layers)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights before the model loads them.

        Raises:
            ValueError: if the checkpoint does not match the config, with the first difference; if it was trained with the
                data's classes in another order; or if a run resumes from it but it contains only weights.
        """
        if runner._resume and 'optimizer' not in checkpoint:
            raise ValueError(
                f'{runner._load_from} cannot be resumed: it contains no optimizer state; start a new run '
                'from its weights with load_from=PATH and resume=False'
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        weights = checkpoint.get('state_dict', checkpoint)
        # A test-only run never builds its training loop.
        starting = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        renew = self.new_layers if starting else ()
        if renew:
            runner.logger.info(
                f'{runner._load_from} provides all weights except those of {", ".join(renew)}, which start from scratch'
            )
        for name in list(weights):
            if name.removeprefix('module.').startswith(tuple(f'{layer}.' for layer in renew)):
                del weights[name]
        problem = explain_mismatch(
            model.state_dict(), {name.removeprefix('module.'): value for name, value in weights.items()}, renew
        )
        if problem:
            remedy = (
                '; to start layers from scratch, list them in default_hooks.checkpoint_guard.new_layers'
                if starting
                else other_config(checkpoint, runner.cfg.filename)
            )
            raise ValueError(f'the checkpoint {runner._load_from} does not match the config: {problem}{remedy}')
        if not starting:
            loader = runner.train_dataloader if isinstance(runner._train_loop, BaseLoop) else runner.test_dataloader
            _compare_classes(
                runner._load_from,
                (checkpoint.get('meta') or {}).get('dataset_meta') or {},
                getattr(getattr(loader, 'dataset', None), 'metainfo', None) or {},
            )


def _compare_classes(path: str, learned: dict, data: dict) -> None:
    """Compare class names, if both sides have them; their number is checked with the shapes of the weights."""
    for key in ('classes', 'slice_classes'):
        first, second = (tuple(names.get(key) or ()) for names in (learned, data))
        if not first or not second or first == second:
            continue
        if sorted(map(str, first)) == sorted(map(str, second)):
            raise ValueError(
                f'the checkpoint {path} was trained with {key} {first}, but the data has {second}: labels '
                "would be misread. Set the classes of the data to the checkpoint's, in the same order"
            )
        print_log(
            f'{path} was trained with {key} {first}, but the data has {second}: assuming the same classes in this order',
            logger='current',
            level=logging.WARNING,
        )
