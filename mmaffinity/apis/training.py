"""Training from a config."""
import copy
from pathlib import Path
from urllib.error import URLError

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmaffinity.datasets import check_sources
from mmaffinity.engine import UnreadableSlicesHook, add_guards, join_processes
from mmaffinity.engine.console import build_runner
from mmaffinity.engine.failures import check_writable, plain_failures
from mmaffinity.utils.config import check_data, load_config

from .data_record import record_training_data
from .resumption import ResumeNotesHook, resume_run


def train_model(config: str | Path | Config, work_dir: str | Path | None = None, resume: bool = False,
                amp: bool = False, seed: int | None = None, launcher: str = 'none', verbose: bool = True) -> Runner:
    """Train a model.

    Args:
        config: a config, which stays as it is, or the path of one.
        work_dir: folder for checkpoints and logs; by default the config's, else ``work_dirs/<config's name>``.
        resume: continue from the newest whole checkpoint in ``work_dir``, if there is one, with the seed, the optimizer and
            the schedule of that run; see :func:`~.resumption.resume_run`.
        amp: automatic mixed precision; needs a GPU.
        seed: overrides the config's seed.
        launcher: 'none' or how the processes of a distributed run were started, for example 'pytorch'.
        verbose: show MMEngine's log on the console; otherwise one line of progress and what concerns the user. The log
            file has everything either way.

    Returns:
        The runner, after training.

    Raises:
        FileNotFoundError: if the config, its data, or the checkpoint that it starts from is not there.
        ValueError: if something in the config cannot be, a loss is no finite number, the work folder cannot be written
            to, the classes of data and model differ, ``resume`` finds damaged checkpoints only, or ``seed`` is not that of
            the run to resume.
    """
    cfg = load_config(config) if isinstance(config, (str, Path)) else copy.deepcopy(config)
    check_data(cfg, 'train_dataloader')
    name = Path(cfg.filename).stem if cfg.filename else 'model'
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or Path('work_dirs') / name)
    randomness = cfg.setdefault('randomness', {})
    randomness.setdefault('seed', None)
    if seed is not None:
        randomness['seed'] = seed
    if amp:
        if not torch.cuda.is_available():
            raise ValueError('--amp needs a GPU, and torch sees none; train without it')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    add_guards(cfg)
    cfg.resume = False
    notes = resume_run(cfg, seed) if resume else []
    start = cfg.get('load_from')
    if start:
        if '://' not in start and not Path(start).is_file():
            raise FileNotFoundError(
                f'{name} starts from the checkpoint {start}, which does not exist; train that model first, or name another '
                'with --cfg-options load_from=PATH')
        # The checkpoint brings every weight of the backbone, so nothing has to be downloaded for it.
        if 'backbone' in cfg.model:
            cfg.model.backbone.init_cfg = None
    for loader in ('train_dataloader', 'val_dataloader'):
        check_sources((cfg.get(loader) or {}).get('dataset'), cfg.model)
    check_writable(cfg.work_dir)
    join_processes(cfg, launcher)
    try:
        with plain_failures(f'the checkpoints in {cfg.work_dir} are as they were: fix that, and start again with --resume'):
            runner = build_runner(cfg, verbose)
            record_training_data(runner)
            runner.register_hook(ResumeNotesHook(notes))
            try:
                runner.train()
            except BaseException:
                for hook in runner.hooks:
                    if isinstance(hook, UnreadableSlicesHook):
                        hook.tell(runner)
                raise
    except URLError as error:
        init_cfg = (cfg.model.get('backbone') or {}).get('init_cfg') or {}
        raise ValueError(
            f'the ImageNet weights {init_cfg.get("checkpoint")} could not be downloaded '
            f'({error.reason}); give a local copy with --cfg-options model.backbone.init_cfg.checkpoint=PATH, or start from '
            'scratch with --cfg-options model.backbone.init_cfg=None') from error
    return runner
