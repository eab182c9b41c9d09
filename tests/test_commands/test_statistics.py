"""Statistics of the grey levels as a command; how they are used is tested with the API."""

import json
import sys

import pytest

from mmaffinity_cli import main


@pytest.fixture
def run(tiny_phantom, tmp_path, monkeypatch):
    """Run the command on the phantom, with the file to write; return it."""
    file = tmp_path / 'statistics.json'

    def call(*options):
        words = [
            'affinity_c8_phantom',
            '--out',
            str(file),
            *options,
            '--cfg-options',
            f'data_root={tiny_phantom / "cncb_ncov"}',
        ]
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'statistics', *words])
        main()
        return file

    return call


def test_values_are_printed_and_written(run, tiny_phantom, capsys):
    content = json.loads(run().read_text())
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.startswith(f'{content["num_slices"]} training slices (') and second.startswith('Wrote ')
    assert f'mean {content["mean"]:.6f}, standard deviation {content["std"]:.6f} of grey levels from 0 to 1' in first
    theirs = json.loads((tiny_phantom / 'cncb_ncov/annotations/statistics.json').read_text())
    assert content['mean'] == pytest.approx(theirs['mean']) and content['num_slices'] == theirs['num_slices']
    run('--workers', '1')
    assert capsys.readouterr().out.splitlines()[-1].endswith('statistics.json already has these values')


def test_other_values_are_replaced_on_request_only(run, capsys):
    file = run()
    text = file.read_text()
    file.write_text(json.dumps({**json.loads(text), 'mean': 0.123}))
    with pytest.raises(SystemExit, match='2'):
        run()
    assert '--overwrite replaces it' in capsys.readouterr().err and '0.123' in file.read_text()
    assert json.loads(run('--overwrite').read_text()) == json.loads(text)
