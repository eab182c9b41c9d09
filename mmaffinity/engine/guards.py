"""What watches over every training run, whatever its config says."""
from mmengine.config import Config

GUARDS = ('CheckpointGuardHook', 'EpochSeedHook', 'FiniteLossHook', 'GreyLevelStatisticsHook', 'LoaderWorkersHook',
          'NormSyncHook', 'UnreadableSlicesHook')


def add_guards(cfg: Config) -> None:
    """Add the hooks that keep checkpoints whole, load them whole, seed each epoch so that a resumed run continues as if it had
    not been interrupted, stop at losses that are no numbers, compute missing grey-level statistics, end loader workers when
    a run is killed, and report skipped slices.

    Configs need not name them, so that one which a user wrote, or wrote before they existed, is guarded as well. A hook
    that a config does name stays as it is.

    Args:
        cfg: a config; its 'custom_hooks' and 'default_hooks.checkpoint' are changed.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    named = {hook.get('type') for hook in (*hooks, *(cfg.get('default_hooks') or {}).values()) if hook}
    cfg.custom_hooks = [*hooks, *(dict(type=name) for name in GUARDS if name not in named)]
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint')
    if checkpoint is not None and checkpoint.get('type') == 'CheckpointHook':
        checkpoint.type = 'WholeCheckpointHook'
