"""The goals of the demo; the demo itself is a quarter of an hour."""
import runpy

import pytest


def test_a_goal_that_is_missed_by_far_fails(repo_root):
    check = runpy.run_path(str(repo_root / 'tools/demo.py'))['check_goals']
    first, second = {'slice/f1': .97, 'lesion/AP50': .8}, {'slice/f1': .76}
    check([first, second])  # a little below 0.90
    with pytest.raises(ValueError, match='far worse .* second hospital, two classes is 0.740, the goal 0.90'):
        check([first, {'slice/f1': .74}])
    with pytest.raises(ValueError, match='lesion AP50 is nan, the goal 0.50'):
        check([{**first, 'lesion/AP50': float('nan')}, second])
