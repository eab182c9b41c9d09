"""Train a model from a config."""

from pathlib import Path
from urllib.error import URLError

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmaffinity.checkpoints.model import without_pretrained
from mmaffinity.datasets.sources import check_sources
from mmaffinity.engine import UnreadableSlicesHook, computes_bfloat16, join_processes, missing_guards
from mmaffinity.engine.console import build_runner
from mmaffinity.engine.failures import check_writable, plain_failures
from mmaffinity.utils.config import check_data, own_config, work_folder
from mmaffinity.utils.memory import keep_freed_memory

from .data_record import DataRecordHook, name_of_run, reads_files
from .resumption import ResumeNotesHook, resume_run


def train_model(
    config: str | Path | Config,
    work_dir: str | Path | None = None,
    resume: bool = False,
    amp: bool = False,
    seed: int | None = None,
    launcher: str = 'none',
    verbose: bool = True,
) -> Runner:
    """Train a model.

    Args:
        config: a config, which is not changed, or its path.
        work_dir: work directory, for checkpoints and logs; by default that of the config or ``work_dirs/<name of the config>``.
        resume: resume from the newest complete checkpoint in ``work_dir``, if there is one, with that run's seed, optimizer
            and schedule; see :func:`~.resumption.resume_run`.
        amp: use automatic mixed precision: float16 on a GPU, bfloat16 on a processor with AVX-512 BF16 or AMX, see
            :class:`~mmaffinity.engine.Bfloat16Hook`.
        seed: overrides the config's seed.
        launcher: 'none' or the launcher of a distributed run, for example 'pytorch'.
        verbose: show MMEngine's log on the console instead of one progress line and messages for the user. The log file always
            contains everything.

    Returns:
        The runner, after training.

    Raises:
        FileNotFoundError: if the config, its data, or the checkpoint that it starts from does not exist.
        ValueError: if the config is invalid, a loss is NaN or infinite, the work directory is not writable or contains a run of
            another config, the classes of data and model differ, ``resume`` finds only damaged checkpoints, or ``seed`` is not
            that of the run to resume.
    """
    cfg = own_config(config)
    check_data(cfg, 'train_dataloader')
    name = Path(cfg.filename).stem if cfg.filename else 'model'
    cfg.work_dir = work_folder(cfg, work_dir)
    run_name = name_of_run(cfg)
    randomness = cfg.setdefault('randomness', {})
    randomness.setdefault('seed', None)
    if seed is not None:
        randomness['seed'] = seed
    if amp:
        if torch.cuda.is_available():
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        elif computes_bfloat16():
            cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='Bfloat16Hook')]
        else:
            raise ValueError('--amp needs a GPU or a processor with AVX-512 BF16 or AMX, but torch finds none: omit it')
    cfg.resume = False
    notes = resume_run(cfg, seed) if resume else []
    start = cfg.get('load_from')
    if start:
        if '://' not in start and not Path(start).is_file():
            raise FileNotFoundError(
                f'{name} starts from the checkpoint {start}, which does not exist; train that model first, or give another '
                'with --cfg-options load_from=PATH'
            )
        cfg.model = without_pretrained(cfg.model)
    for loader in ('train_dataloader', 'val_dataloader'):
        check_sources((cfg.get(loader) or {}).get('dataset'), cfg.model)
    check_writable(cfg.work_dir)
    join_processes(cfg, launcher)
    keep_freed_memory()
    try:
        with plain_failures(f'the checkpoints in {cfg.work_dir} are intact: fix this, and continue with --resume'):
            runner = build_runner(cfg, verbose)
            missing = missing_guards(cfg)
            if missing:
                notes.append(
                    f'the config lacks {", ".join(missing)}: inherit _base_/default_runtime.py of this package, so that runs '
                    'can be interrupted safely and stop at NaN'
                )
            runner.register_hook(DataRecordHook(reads_files(runner), run_name))
            runner.register_hook(ResumeNotesHook(notes))
            try:
                runner.train()
            except BaseException:
                for hook in runner.hooks:
                    if isinstance(hook, UnreadableSlicesHook):
                        hook.log_skipped(runner)
                raise
    except URLError as error:
        init_cfg = (cfg.model.get('backbone') or {}).get('init_cfg') or {}
        raise ValueError(
            f'the ImageNet weights {init_cfg.get("checkpoint")} could not be downloaded '
            f'({error.reason}); give a local copy with --cfg-options model.backbone.init_cfg.checkpoint=PATH, or start from '
            'scratch with --cfg-options model.backbone.init_cfg=None'
        ) from error
    return runner
