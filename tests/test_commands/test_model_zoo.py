"""The table of trained models as a command."""

import sys

import pytest
import yaml

from mmaffinity_cli import main


@pytest.fixture
def run(monkeypatch, tmp_path):
    def call(*options):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'model-zoo', *options])
        main()

    return call


def test_the_table_of_the_page_is_replaced(run, tmp_path, repo_root, capsys):
    (tmp_path / 'mine.py').touch()
    model = dict(
        Name='mine',
        Config='mine.py',
        Metadata={'Training Data': 'A'},
        Results=[dict(Task='t', Dataset='B', Metrics=dict(F1=0.5))],
    )
    (tmp_path / 'index.yml').write_text(yaml.safe_dump(dict(Models=[model])))
    (tmp_path / 'page.md').write_text((repo_root / 'docs/model_zoo.md').read_text())
    run('index.yml', '--out', 'page.md')
    assert capsys.readouterr().out == 'Wrote page.md\n'
    page, ours = (tmp_path / 'page.md').read_text(), (repo_root / 'docs/model_zoo.md').read_text()
    assert '| [mine](../mine.py) | A | B | F1 0.5 |' in page and page.splitlines()[0] == ours.splitlines()[0]
    assert len(page.splitlines()) < len(ours.splitlines())


def test_a_missing_index_is_an_error(run, capsys):
    with pytest.raises(SystemExit, match='2'):
        run()
    assert 'model-index.yml' in capsys.readouterr().err
