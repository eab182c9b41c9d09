"""Import of optional packages."""

import logging
import sys
import warnings

import pytest

from mmaffinity.utils import optional
from mmaffinity.utils.optional import quiet, require


def test_installed_module_is_imported():
    import json.decoder

    assert require('json.decoder', 'medical') is json.decoder


def test_error_names_package_and_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydicom', None)
    with pytest.raises(ValueError, match=r'pydicom.*mmaffinity\[medical\]'):
        require('pydicom', 'medical')
    with pytest.raises(ValueError, match=r'no_such_package_at_all.*mmaffinity\[other\]'):
        require('no_such_package_at_all.inner', 'other')


def test_error_includes_the_import_failure(tmp_path, monkeypatch):
    (tmp_path / 'broken_package.py').write_text('import something_it_lacks\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match='something_it_lacks'):
        require('broken_package', 'medical')


@pytest.mark.parametrize('name', ['some_package', 'root'])
def test_quiet_packages_report_errors_only(name, caplog, recwarn):
    below = logging.getLogger('some_package.part')
    with pytest.raises(KeyError), quiet(name):
        below.warning('a remark')
        below.error('a failure')
        warnings.warn('an opinion', stacklevel=1)
        raise KeyError
    below.warning('a later remark')
    assert caplog.messages == ['a failure', 'a later remark'] and not recwarn.list


def test_the_runtime_alone_is_given_its_own_extras(monkeypatch):
    """There, "mmaffinity[...]" would ask pip for another distribution."""
    for installed, name in (
        (('mmaffinity-runtime',), 'mmaffinity-runtime'),
        (('mmaffinity',), 'mmaffinity'),
        ((), 'mmaffinity'),
    ):

        def version(wanted, installed=installed):
            if wanted not in installed:
                raise optional.PackageNotFoundError(wanted)
            return '0.1.0'

        monkeypatch.setattr(optional, 'version', version)
        assert optional.install_command('medical') == f'pip install "{name}[medical]"'
