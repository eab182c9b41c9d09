"""Hooks that guard every training run, whatever its config says."""
from mmengine.config import Config

GUARDS = ('CheckpointGuardHook', 'EpochSeedHook', 'FiniteLossHook', 'GreyLevelStatisticsHook', 'LoaderWorkersHook',
          'NormSyncHook', 'UnreadableSlicesHook')


def add_guards(cfg: Config) -> None:
    """Add the hooks that guard a run.

    They write and load checkpoints completely or not at all, seed each epoch so that a resumed run continues as if it had not
    been interrupted, stop at NaN or infinite losses, compute missing grey-level statistics, end loader workers when a run is
    killed, and report skipped slices. Configs need not name them, so that user-written configs are guarded as well. Hooks that
    a config does name are unchanged.

    Args:
        cfg: a config; its 'custom_hooks' and 'default_hooks.checkpoint' are changed.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    named = {hook.get('type') for hook in (*hooks, *(cfg.get('default_hooks') or {}).values()) if hook}
    cfg.custom_hooks = [*hooks, *(dict(type=name) for name in GUARDS if name not in named)]
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint')
    if checkpoint is not None and checkpoint.get('type') == 'CheckpointHook':
        checkpoint.type = 'WholeCheckpointHook'
