"""The page of trained models: current, and what it says of an index."""

import pytest
import yaml

from mmaffinity.apis.model_zoo import model_zoo, read_models, write_model_zoo


def test_the_page_is_current(repo_root):
    assert (repo_root / 'docs/model_zoo.md').read_text() == model_zoo(repo_root / 'model-index.yml'), 'run mmaffinity model-zoo'


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
    write_model_zoo(write_index(tmp_path), tmp_path / 'page.md')
    assert (
        '| [our_model](../config.py) | A | B | F1 0.9 (0.8 to 1.0), AP50 0.5 |  | 3 | `abababababababab` |\n'
        in (tmp_path / 'page.md').read_text()
    )


def test_models_without_results_have_no_row(tmp_path):
    assert 'our_model' not in model_zoo(write_index(tmp_path, Results=[]))


def test_mistakes(tmp_path):
    with pytest.raises(FileNotFoundError, match='part.yml names the config elsewhere.py'):
        model_zoo(write_index(tmp_path, Config='elsewhere.py'))
    (tmp_path / 'index.yml').write_text('- no\n- index\n')
    with pytest.raises(ValueError, match='index.yml is no model index'):
        model_zoo(tmp_path / 'index.yml')
