import gc
import subprocess
import sys

import pytest

from mmaffinity.utils.garbage import collection_paused


def test_garbage_collection_is_paused_and_resumed():
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match='broken'), collection_paused():
        raise ValueError('broken')
    assert gc.isenabled()
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()  # unchanged
    finally:
        gc.enable()


def test_objects_of_before_are_excluded_if_frozen():
    code = """
import gc
from mmaffinity.utils.garbage import collection_paused
with collection_paused(freeze=True):
    cycle = []
    cycle.append(cycle)
print(gc.isenabled(), gc.is_tracked(cycle), any(o is cycle for o in gc.get_objects()), gc.get_freeze_count() > 1000)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['True', 'True', 'False', 'True']


def test_commands_freeze_what_their_imports_created():
    code = """
import gc, sys
from mmaffinity_cli import main
try:
    main('train', '--help')
except SystemExit:
    print(gc.isenabled(), gc.get_freeze_count() > 1000)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == 'True True'


def test_importing_the_package_does_not_collect_garbage():
    code = """
import gc, sys
phases = []
gc.callbacks.append(lambda phase, info: phases.append(phase))
import mmaffinity
print('torch' in sys.modules, len(phases), gc.isenabled())
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    loaded, phases, enabled = done.stdout.splitlines()[-1].split()
    assert loaded == enabled == 'True'
    assert int(phases) < 20  # before the pause begins; several hundred without one
