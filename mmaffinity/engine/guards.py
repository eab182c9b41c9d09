"""Hooks in configs/_base_/default_runtime.py that third-party configs may lack."""

from mmengine.config import Config

GUARDS = (
    'CheckpointGuardHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'GreyLevelStatisticsHook',
    'LoaderWorkersHook',
    'NormSyncHook',
    'UnreadableSlicesHook',
    'WholeCheckpointHook',
)


def missing_guards(cfg: Config) -> list[str]:
    """Return the hooks that safeguard a run but are missing from a config.

    They write and load checkpoints completely or not at all, seed each epoch so that a resumed run matches an uninterrupted
    one, average BatchNorm statistics over processes, stop at NaN or infinite losses, provide grey-level statistics, end loader
    workers when a run is killed, and report skipped slices.
    """
    hooks = [*(cfg.get('custom_hooks') or []), *(cfg.get('default_hooks') or {}).values()]
    named = {hook.get('type') for hook in hooks if hook}
    return [name for name in GUARDS if name not in named]
