"""Loading a checkpoint wholly or not at all."""
from collections.abc import Sequence

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from mmaffinity.utils.checkpoint import explain_mismatch


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Refuse a checkpoint that does not fit the model, where MMEngine would load a part and log a warning.

    Args:
        new_layers: prefixes of layers that start anew when training starts from another model's checkpoint
            (``load_from``); their weights in it are left out. A resumed or tested model takes all weights.
    """

    def __init__(self, new_layers: Sequence[str] = ()) -> None:
        self.new_layers = tuple(new_layers)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights that were read, before they reach the model.

        Raises:
            ValueError: if the checkpoint does not fit the config, with the first difference; or if it is to be resumed and
                holds weights only.
        """
        if runner._resume and 'optimizer' not in checkpoint:
            raise ValueError(f'{runner._load_from} cannot be resumed, as it holds weights, but no optimizer; start a new run '
                             'from it: load_from=PATH with resume=False')
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        weights = checkpoint.get('state_dict', checkpoint)
        # The loop of a run that only tests is never built.
        starting = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        renew = self.new_layers if starting else ()
        for name in list(weights):
            if name.removeprefix('module.').startswith(tuple(f'{layer}.' for layer in renew)):
                del weights[name]
        problem = explain_mismatch(model.state_dict(), {name.removeprefix('module.'): value
                                                        for name, value in weights.items()}, renew)
        if problem:
            raise ValueError(f'the checkpoint {runner._load_from} does not fit the config: {problem}')
