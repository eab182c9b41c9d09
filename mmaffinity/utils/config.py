"""Load configs, apply overrides and check them."""

import copy
import inspect
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from .references import DATALOADERS, resolve_dataloaders
from .shared_config import read_shared_config

# Top-level fields of this package, see load_config.
FIELDS = ('data_root', 'image_size', 'slice_classes', 'lesion_classes', 'folds', 'fold')


def load_config(path: str | Path, overrides: dict | None = None) -> Config:
    """Load a config by path or name, apply overrides, and resolve its references.

    A config means the same to MMEngine's ``Runner.from_cfg(Config.fromfile(path))``. This function adds names, overrides and
    clear errors. It also resolves references such as ``data_root='${data_root}'``, which the runner's loops would otherwise
    resolve, so that data sets can be built without a runner. Some top-level fields avoid repetition:

    * ``data_root``: root of the data sets; a leading ``~`` is the home folder;
    * ``image_size``: (width, height) in pixels to which slices are resized;
    * ``slice_classes``: names of the classes, checked against the slice lists; None uses those of the lists;
    * ``lesion_classes``: names of the categories of all lesion data sets, by default only 'lesion';
    * ``folds`` and ``fold``: cross-validation by patient: training uses all folds but one, and testing the remaining fold.
      There is no validation then, because its patients would have to be excluded from training too.

    Args:
        path: a Python config file, which is executed; or the name of a config in this package, such as 'affinity_c8' or
            'baselines/single_shot' (see :func:`find_config`); or the JSON of a shared model, which is only data (see
            :mod:`~mmaffinity.utils.shared_config`).
        overrides: values by dotted key, as from ``--cfg-options``.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it cannot be read as a config, or is JSON that contains more than a model description.
    """
    # As custom_imports of this package's configs does, except in a command, which imports the package without its modules; the
    # JSON of a shared model has none.
    import_modules_from_strings('mmaffinity.registration')
    path = find_config(path)
    if path.suffix not in ('.py', '.json'):
        # YAML is not supported either: MMEngine's reader calls functions named in a YAML file.
        raise ValueError(f'{path} is not a config: a config is a Python file, or the JSON of a shared model')
    if path.suffix == '.json':
        config = read_shared_config(path)
    else:
        try:
            config = Config.fromfile(path)
        except Exception as error:
            raise ValueError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from error
        # MMEngine formats the config with yapf five times per run and for every checkpoint, which takes seconds if a path is
        # long. Unformatted, it is still indented Python. fromfile() has an option for this, but loses it for configs with
        # _base_.
        object.__setattr__(config, '_format_python_code', False)
    try:
        if overrides:
            _check_names(config, overrides)
            config.merge_from_dict(overrides)
        _check_kinds(config)
        resolve_dataloaders(config)
    except Exception as error:
        named = f' with {overrides}' if overrides else ''
        raise ValueError(f'{path} cannot be read as a config{named}: {type(error).__name__}: {error}') from error
    return config


def own_config(config: str | Path | Config, overrides: dict | None = None) -> Config:
    """Return a config that the caller may change: loaded from a path or name, or a copy with resolved references.

    Args:
        config: a config, its path or its name.
        overrides: values by dotted key.

    Raises:
        FileNotFoundError, ValueError: as for :func:`load_config`.
    """
    if isinstance(config, (str, Path)):
        return load_config(config, overrides)
    config = copy.deepcopy(config)
    if overrides:
        _check_names(config, overrides)
        config.merge_from_dict(overrides)
    resolve_dataloaders(config)
    return config


def work_folder(config: Config, given: str | Path | None = None) -> str:
    """Return the work directory of a run: the given one, that of the config, or ``work_dirs/<name of the config>``.

    A leading ``~`` is the home folder: no shell expands it in ``--cfg-options work_dir=~/run``.
    """
    name = Path(config.filename).stem if config.filename else 'model'
    return str(Path(given or config.get('work_dir') or Path('work_dirs') / name).expanduser())


def config_folder() -> Path:
    """Return the folder of this package's configs: in the wheel, or next to the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    folders = (package / '.mim' / 'configs' / 'affinity', package.parent / 'configs')
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def config_name(config: Config) -> str | None:
    """Return a config's path below ``configs/``, such as 'affinity_c8' or 'published/affinity_c8'.

    Returns:
        The name, which does not depend on where the package is installed; the bare file name of a config elsewhere; None for a
        config without a file.
    """
    if not config.filename:
        return None
    path = Path(config.filename).resolve().with_suffix('')
    folders = (config_folder().resolve(), *(folder for folder in path.parents if folder.name == 'configs'))
    root = next((folder for folder in folders if path.is_relative_to(folder)), path.parent)
    return path.relative_to(root).as_posix()


def config_argument(config: Config) -> str:
    """Return how to name a config in a command: its name if it ships with the package, else its path."""
    if not config.filename:
        return 'CONFIG'
    shipped = Path(config.filename).resolve().is_relative_to(config_folder().resolve())
    return str(config_name(config)) if shipped else str(config.filename)


def find_config(path: str | Path) -> Path:
    """Find a config by its path or by its name in this package.

    Args:
        path: path of a file, or a name with or without '.py', such as 'affinity_c8' or 'baselines/single_shot'.

    Raises:
        FileNotFoundError: if neither exists; similar names are suggested.
    """
    path = Path(path)
    if path.is_file():
        return path
    ours = config_folder()
    name = path.with_suffix('') if path.suffix == '.py' else path
    if not path.is_absolute() and '..' not in path.parts and '_base_' not in path.parts:
        # In a checkout, the path is 'configs/affinity_c8.py'.
        parts = name.parts[1:] if name.parts[:1] == ('configs',) else name.parts
        found = ours.joinpath(*parts).with_suffix('.py') if parts else ours
        if found.is_file():
            return found
    if path.is_symlink():
        raise FileNotFoundError(f'the config {path} is a link to {path.readlink()}, which does not exist')
    siblings = [str(other) for other in path.parent.glob('*.py')] if path.parent.is_dir() else []
    known = sorted(str(other.relative_to(ours).with_suffix('')) for other in ours.rglob('*.py') if '_base_' not in other.parts)
    near = get_close_matches(str(path), siblings) or get_close_matches(str(name), known)
    hint = f'; did you mean {" or ".join(near)}?' if near else ''
    raise FileNotFoundError(f'no such config: {path}{hint}')


def _check_names(config: Config, overrides: dict) -> None:
    """Reject overrides that are probably misspelt: of unknown fields that resemble existing or inner ones, such as ``lr``.

    They would silently change nothing.

    Raises:
        ValueError: with the field that was probably meant.
    """
    fields = {*config.keys(), *FIELDS, *inspect.signature(Runner.__init__).parameters}
    for key in map(str, overrides):
        name = key.split('.')[0]
        if name in fields:
            continue
        near = get_close_matches(name, fields, n=1, cutoff=0.8) or list(islice(_places(config.to_dict(), key), 3))
        if near:
            raise ValueError(f'unknown field {name}; did you mean {" or ".join(near)}?')


def _places(value: Any, name: str, within: str = '') -> Iterator[str]:
    """Yield the dotted names of a config's inner fields that end in ``name``."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        place = f'{within}{key}'
        if f'.{place}'.endswith(f'.{name}') and within:
            yield place
        yield from _places(item, name, f'{place}.')


def _check_kinds(config: Config) -> None:
    """Check the types of fields that every run reads; an override can replace a dict with anything.

    Raises:
        TypeError: if a type is wrong.
    """
    for name in (
        'model',
        'default_hooks',
        'env_cfg',
        'randomness',
        'optim_wrapper',
        'train_cfg',
        'val_cfg',
        'test_cfg',
        *DATALOADERS,
    ):
        _check_kind(name, config.get(name), dict, 'a dict')
    for loader in DATALOADERS:
        _check_kind(f'{loader}.dataset', (config.get(loader) or {}).get('dataset'), dict, 'a dict')
    _check_kind('custom_hooks', config.get('custom_hooks'), (list, tuple), 'a list of dicts')
    for number, hook in enumerate(config.get('custom_hooks') or ()):
        if not isinstance(hook, dict):
            raise TypeError(f'custom_hooks.{number} is {hook!r:.80}, not a dict')
    if config.get('image_size') is not None and not _is_size(config.image_size):
        raise TypeError(f'image_size is {config.image_size!r:.80}, not a width and a height in pixels, such as (512, 512)')
    _check_kind('lesion_classes', config.get('lesion_classes'), (list, tuple), 'a list of names')
    _check_kind('load_from', config.get('load_from'), str, 'a path')


def _is_size(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)


def _check_kind(name: str, value: Any, kind: type | tuple[type, ...], called: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f'{name} is {value!r:.80}, not {called}')


def check_data(config: Config, loader: str) -> None:
    """Check that a config defines the data of a run, which the description of a shared model does not.

    Raises:
        ValueError: if it does not.
    """
    dataset = (config.get(loader) or {}).get('dataset') or {}
    if not dataset.get('type'):
        raise ValueError(
            f'{config.filename} has no data set in {loader}; the JSON of a shared model is only for prediction. Use '
            'a Python config of the same model, for example from configs/, that defines its data'
        )
