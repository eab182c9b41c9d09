"""Names of a package that are imported on first use."""

import importlib
import sys

import pytest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose module ``heavy`` has the name ``work``."""
    (tmp_path / 'lazy_package').mkdir()
    (tmp_path / 'lazy_package/__init__.py').write_text(
        'from mmaffinity.utils.lazy import lazy_names\n'
        "__getattr__, __dir__ = lazy_names(__name__, {'work': 'heavy', 'absent': 'heavy', 'gone': 'no_such_module'})\n"
    )
    (tmp_path / 'lazy_package/heavy.py').write_text('def work():\n    return 7\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module('lazy_package')
    for name in [name for name in sys.modules if name.startswith('lazy_package')]:
        del sys.modules[name]


def test_module_is_imported_with_the_first_use_of_its_name(package):
    assert dir(package) == ['absent', 'gone', 'work'] and 'lazy_package.heavy' not in sys.modules
    from lazy_package import work

    assert work() == 7 and package.work is work and 'lazy_package.heavy' in sys.modules


def test_unknown_names_are_attribute_errors(package):
    assert not hasattr(package, 'play')
    with pytest.raises(AttributeError, match="module 'lazy_package' has no attribute 'play'"):
        package.play()
    with pytest.raises(AttributeError, match='absent'):
        package.absent()
    with pytest.raises(ModuleNotFoundError, match='lazy_package.no_such_module'):  # not hidden by hasattr
        package.gone()
