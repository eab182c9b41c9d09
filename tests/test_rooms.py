"""Imports between subpackages point one way, as in docs/architecture.md, and tests mirror the package."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / 'mmaffinity'
FOUNDATION = {'ops', 'structures', 'utils'}
TOP = {'framework', 'registration'}  # modules of the package itself
# What each room may import. Those of one line of the map do not import each other.
ROOMS = {
    'utils': set(),
    'ops': set(),
    'structures': set(),
    'checkpoints': FOUNDATION,
    'scans': FOUNDATION,
    **{room: {*FOUNDATION, 'checkpoints', 'scans'} for room in ('datasets', 'evaluation', 'models', 'visualization')},
    'runtime': {'scans', 'utils'},
    'deployment': {*FOUNDATION, 'models', 'runtime'},
}
ROOMS['engine'] = set(ROOMS)
ROOMS['apis'] = set(ROOMS)
ROOMS['commands'] = set(ROOMS)
# Modules without behaviour of their own: constants, lists of subcommands, imports, an exception and a dataclass.
WITHOUT_TEST = {
    'apis/timed.py',
    'commands/export.py',
    'commands/rois.py',
    'framework.py',
    'registration.py',
    'registry.py',
    'structures/non_finite_output_error.py',
    'structures/ranked_rois.py',
}


def imports_of(path):
    """Yield the dotted names of this package that a file imports, including those imported inside functions."""
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = '.'.join([*base, *filter(None, [node.module])])
            yield from (f'{name}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('room', ROOMS)
def test_imports_point_one_way(room):
    files = list((PACKAGE / room).rglob('*.py'))
    wrong = [
        f'{path.relative_to(PACKAGE)}: {name}'
        for path in files
        for name in imports_of(path)
        if name.startswith('mmaffinity.') and name.split('.')[1] not in {room, '__version__', *ROOMS[room], *TOP}
    ]
    assert files and wrong == []


def test_every_subpackage_is_in_the_architecture():
    assert {path.parent.name for path in PACKAGE.glob('*/__init__.py')} == set(ROOMS)


def test_layers_import_torch_only():
    names = {
        name.split('.')[0]
        for path in (PACKAGE / 'models/layers').glob('*.py')
        for name in imports_of(path)
        if not name.startswith('mmaffinity.models.layers')
    }
    assert names <= {'torch', 'collections', 'typing', 'math', 'copy'}


@pytest.mark.parametrize(
    'lower, upper',
    [
        ('datasets/verification', 'datasets.conversion'),
        ('datasets/phantom', 'datasets.conversion'),
        ('evaluation/functional', 'evaluation.metrics'),
    ],
)
def test_nested_subpackages(lower, upper):
    assert [name for path in (PACKAGE / lower).rglob('*.py') for name in imports_of(path) if f'.{upper}' in name] == []


def test_every_module_has_a_test_file_at_the_mirrored_path():
    tests, missing = Path(__file__).resolve().parent, set()
    for path in PACKAGE.rglob('*.py'):
        module = path.relative_to(PACKAGE)
        folders = [f'test_{name}' for name in module.parts[:-1]]
        if not module.name.startswith('__') and not tests.joinpath(*folders, f'test_{module.name}').is_file():
            missing.add(module.as_posix())
    assert missing == WITHOUT_TEST
