"""Figures of finished runs, from their logs."""

import json

from mmaffinity.apis.result_figures import run_curves


def test_curves_from_a_truncated_log(tmp_path):
    for number, (first, end) in enumerate(((1, '{"lr": 1e-05, "loss": 0.'), (3, ''))):
        folder = tmp_path / str(number) / 'vis_data'
        folder.mkdir(parents=True)
        lines = [json.dumps(dict(lr=1e-5, loss=1 / step, step=step)) for step in (first, first + 1)]
        (folder / 'scalars.json').write_text('\n'.join([*lines, end]))
    (line,) = [line for axes in run_curves(tmp_path).axes for line in axes.lines if len(line.get_xdata()) > 1]
    assert list(line.get_xdata()) == [1, 2, 3, 4]
