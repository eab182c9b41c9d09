"""Hooks that safeguard a run, and a warning if a config lacks them."""

from mmengine.config import Config
from run_helpers import small_config

from mmaffinity.apis import train_model
from mmaffinity.engine import missing_guards
from mmaffinity.engine.guards import GUARDS


def test_missing_guards_are_found():
    assert missing_guards(Config({})) == list(GUARDS)
    cfg = Config(
        dict(
            custom_hooks=[dict(type='FiniteLossHook')],
            default_hooks=dict(checkpoint=dict(type='WholeCheckpointHook'), timer=None),
        )
    )
    assert missing_guards(cfg) == [name for name in GUARDS if name not in ('FiniteLossHook', 'WholeCheckpointHook')]


def test_training_reports_missing_guards(repo_root, tiny_phantom, tmp_path, capsys):
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1})
    config.default_hooks.pop('finite_loss')
    train_model(config, work_dir=tmp_path, verbose=False)
    assert 'the config lacks FiniteLossHook: inherit _base_/default_runtime.py' in ''.join(capsys.readouterr())
