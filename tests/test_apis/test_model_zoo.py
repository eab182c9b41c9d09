"""The page of trained models, and its generation from an index."""

import pytest
import yaml

from mmaffinity.apis.model_zoo import model_table, read_models, write_model_table


def test_the_page_is_current(repo_root):
    assert f'\n\n{model_table(repo_root / "model-index.yml")}\n' in (repo_root / 'docs/model_zoo.md').read_text(), (
        'run mmaffinity model-zoo'
    )


def test_every_model_has_a_config(repo_root):
    models = read_models(repo_root / 'model-index.yml')
    names = [model['Name'] for model in models]
    assert len(names) > 8 and len(set(names)) == len(names)
    assert all((repo_root / model['Config']).is_file() for model in models)


def write_index(folder, **model):
    (folder / 'config.py').touch()
    (folder / 'part.yml').write_text(
        yaml.safe_dump(
            dict(
                Models=[
                    dict(
                        dict(
                            Name='our_model',
                            Config='config.py',
                            Metadata={'Training Data': 'A', 'Seed': 3, 'Weights SHA256': 'ab' * 32},
                            Results=[dict(Task='t', Dataset='B', Metrics={'F1': '0.9 (0.8 to 1.0)', 'AP50': 0.5})],
                        ),
                        **model,
                    )
                ]
            ),
            sort_keys=False,
        )
    )
    (folder / 'index.yml').write_text('Import:\n  - part.yml\n')
    return folder / 'index.yml'


def test_a_row_per_model_and_test_set(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(f'# Models\n\n{model_table(write_index(tmp_path, Results=[]))}| an old row |\n\nText after.\n')
    write_model_table(write_index(tmp_path), page)
    row = '| [our_model](../config.py) | A | B | F1 0.9 (0.8 to 1.0), AP50 0.5 |  | 3 | `abababababababab` |'
    before, found = page.read_text().split(f'\n{row}\n')
    assert before.startswith('# Models\n\n| model |') and found == '\nText after.\n' and 'old row' not in before
    page.write_text(before[: before.index('|---')])
    write_model_table(write_index(tmp_path), page)
    assert page.read_text().endswith(f'{row}\n')


def test_models_without_results_have_no_row(tmp_path):
    assert 'our_model' not in model_table(write_index(tmp_path, Results=[]))


def test_invalid_index_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='part.yml names the config elsewhere.py'):
        model_table(write_index(tmp_path, Config='elsewhere.py'))
    (tmp_path / 'page.md').write_text('# Models\n')
    with pytest.raises(ValueError, match=r'page.md has no table that starts with .\| model \| trained on'):
        write_model_table(write_index(tmp_path), tmp_path / 'page.md')
    (tmp_path / 'index.yml').write_text('- no\n- index\n')
    with pytest.raises(ValueError, match='index.yml is not a model index'):
        model_table(tmp_path / 'index.yml')


def test_missing_entries_are_named(tmp_path):
    (tmp_path / 'index.yml').write_text('Models:\n  - Name: ours\n')
    with pytest.raises(ValueError, match='index.yml: model 0 lacks Config'):
        model_table(tmp_path / 'index.yml')
    with pytest.raises(ValueError, match='part.yml: a result of model 0 lacks Dataset and Metrics'):
        model_table(write_index(tmp_path, Results=[{'Task': 'Image Classification'}]))
