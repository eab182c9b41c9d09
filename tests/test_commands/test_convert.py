"""The exit code of a conversion."""

import sys

import pytest
from conversion_helpers import put_smooth_slice

from mmaffinity_cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    for number in range(8):
        put_smooth_slice(tmp_path / 'in' / 'ab'[number % 2] / f'{number}.png', number)

    def call(*options):
        words = ['class-folders', str(tmp_path / 'in'), '--out', str(tmp_path / 'out'), *options]
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'convert', *words])
        main()

    return call


def test_exit_code_tells_whether_something_was_left_out(run, tmp_path, capsys, caplog):
    run()  # no exit code
    (tmp_path / 'in/a/broken.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    with pytest.raises(SystemExit) as ended:
        run('--overwrite')
    assert ended.value.code == 1 and 'broken.png' in caplog.text
    assert (tmp_path / 'out/annotations/slices_train.json').is_file()
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2 and '--overwrite' in capsys.readouterr().err
