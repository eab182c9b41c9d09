"""Reading configs."""
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config, ConfigDict

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(path: Union[str, Path], overrides: Optional[dict] = None) -> Config:
    """Read a config, apply overrides, and hand its ``data_root`` to the data sets.

    A data set that names no ``data_root`` of its own gets the config's, and so does the path of the grey-level statistics,
    so that one field (or one ``--cfg-options data_root=...``) moves all of them.

    Args:
        path: config file (Python). A config is code: reading it runs it.
        overrides: values by dotted key, as ``--cfg-options`` gives them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as a config.
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(str(p) for p in path.parent.glob('*.py')) if path.parent.is_dir() else []
        hint = f'; that folder has {", ".join(near[:8])}' if near else ''
        raise FileNotFoundError(f'no config {path}{hint}')
    try:
        config = Config.fromfile(path)
        if overrides:
            config.merge_from_dict(overrides)
    except Exception as error:
        raise ValueError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from error
    apply_data_root(config)
    return config


def apply_data_root(config: Config) -> None:
    """Hand the top-level ``data_root`` to every data set, and to the statistics' path, that has none."""
    root = config.get('data_root')
    if root is None:
        return
    for name in DATALOADERS:
        if config.get(name) is not None:
            _set_root(config[name].get('dataset'), root)
    preprocessor = config.get('model', {}).get('data_preprocessor') or {}
    statistics = preprocessor.get('statistics')
    if statistics is not None and not Path(statistics).is_absolute() and Path(root) not in Path(statistics).parents:
        preprocessor['statistics'] = str(Path(root) / statistics)


def _set_root(dataset: Any, root: str) -> None:
    if not isinstance(dataset, (dict, ConfigDict)):
        return
    inner = dataset.get('datasets') or ([dataset['dataset']] if dataset.get('dataset') else [])
    for part in inner:
        _set_root(part, root)
    if not inner:
        dataset.setdefault('data_root', root)
