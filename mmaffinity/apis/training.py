"""Training from a config."""
from pathlib import Path
from urllib.error import URLError

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from mmaffinity.utils.config import load_config


def train_model(config: str | Path | Config, work_dir: str | Path | None = None, resume: bool = False,
                amp: bool = False, seed: int | None = None, launcher: str = 'none') -> Runner:
    """Train a model.

    Args:
        config: a config or the path of one.
        work_dir: folder for checkpoints and logs; by default the config's, else ``work_dirs/<config's name>``.
        resume: go on from the newest checkpoint in ``work_dir``, if there is one.
        amp: automatic mixed precision; needs a GPU.
        seed: overrides the config's seed.
        launcher: 'none' or how the processes of a distributed run were started, for example 'pytorch'.

    Returns:
        The runner, after training.

    Raises:
        FileNotFoundError: if the config, its data, or the checkpoint that it starts from is not there.
        ValueError: if something in the config cannot be.
    """
    cfg = load_config(config) if isinstance(config, (str, Path)) else config
    name = Path(cfg.filename).stem if cfg.filename else 'model'
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or Path('work_dirs') / name)
    cfg.launcher = launcher
    if seed is not None:
        cfg.setdefault('randomness', {})['seed'] = seed
    if amp:
        if not torch.cuda.is_available():
            raise ValueError('--amp needs a GPU, and torch sees none; train without it')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    # MMEngine would take load_from itself as the run to resume; here it stays what the run starts from if it is new.
    cfg.resume = resume and find_latest_checkpoint(cfg.work_dir) is not None
    if cfg.resume:
        cfg.load_from = None
    start = cfg.get('load_from')
    if start:
        if '://' not in start and not Path(start).is_file():
            raise FileNotFoundError(
                f'{name} starts from the checkpoint {start}, which does not exist; train that model first, or name another '
                'with --cfg-options load_from=PATH')
    if start or cfg.resume:
        # The checkpoint brings every weight of the backbone, so nothing has to be downloaded for it.
        cfg.model.backbone.init_cfg = None
    try:
        runner = Runner.from_cfg(cfg)
        runner.train()
    except URLError as error:
        raise ValueError(
            f'the ImageNet weights {cfg.model.backbone.get("init_cfg", {}).get("checkpoint")} could not be downloaded '
            f'({error.reason}); give a local copy with --cfg-options model.backbone.init_cfg.checkpoint=PATH, or start from '
            'scratch with --cfg-options model.backbone.init_cfg=None') from error
    return runner
