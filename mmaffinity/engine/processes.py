"""Set up distributed processes on GPUs or CPUs."""

import atexit
import os
from collections.abc import Mapping

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from torch import distributed

_VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


def join_processes(cfg: Config, launcher: str, environ: Mapping[str, str] = os.environ) -> None:
    """Prepare a config and this process for a distributed run; single-process runs are unaffected.

    In each stage, some parameters get no gradient, so the model wrapper must search for unused parameters. This also lets steps
    complete if a process's slices have no lesion. MMEngine does not support CPUs here, so on CPUs this function connects the
    processes with gloo and sets no device for the wrapper.

    Args:
        cfg: the config; 'launcher' is set, and 'model_wrapper_cfg' unless present.
        launcher: 'none', 'pytorch' (torchrun), 'slurm' or 'mpi'.
        environ: the environment, with the variables set by torchrun.

    Raises:
        ValueError: if the process was not started by ``launcher``, or there are fewer GPUs than processes.
    """
    cfg.launcher = launcher
    if launcher == 'none':
        return
    missing = [name for name in _VARIABLES if name not in environ]
    if launcher == 'pytorch' and missing:
        raise ValueError(
            f'--launcher pytorch is for processes started by torchrun, but {", ".join(missing)} is not set; '
            'use tools/dist_train.sh or tools/dist_test.sh, or omit the option'
        )
    on_gpus = torch.cuda.is_available()
    if launcher != 'pytorch' and not on_gpus:
        raise ValueError(
            f'--launcher {launcher} needs GPUs, but torch finds none; on CPUs, start the processes with torchrun '
            '(tools/dist_train.sh, tools/dist_test.sh)'
        )
    if launcher == 'pytorch' and on_gpus and int(environ['LOCAL_RANK']) >= torch.cuda.device_count():
        raise ValueError(
            f'there is no GPU for process {environ["LOCAL_RANK"]} of this machine: torch finds '
            f'{torch.cuda.device_count()}. Start one process per GPU, or hide the GPUs '
            '(CUDA_VISIBLE_DEVICES=) to run on CPUs'
        )
    # Threads of the group that outlive the interpreter may abort a process that has finished its work.
    atexit.register(_leave)
    wrapper = dict(type='MMDistributedDataParallel', find_unused_parameters=True, broadcast_buffers=False)
    if not on_gpus:
        wrapper['device_ids'] = None
        if not is_distributed():
            distributed.init_process_group('gloo')
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = wrapper


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
