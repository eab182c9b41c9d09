"""The model index: every family of configs has a metafile, whose configs exist and train for the epochs it states."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.fileio import load

ROOT = Path(__file__).resolve().parent.parent
METAFILES = load(ROOT / 'model-index.yml')['Import']
MODELS = [model for file in METAFILES for model in load(ROOT / file)['Models']]
LEAVES = [path.relative_to(ROOT) for path in ROOT.glob('configs/**/*.py') if not {'_base_', 'plans'} & set(path.parts)]


def test_every_family_has_a_metafile():
    families = {path.parent.as_posix() for path in LEAVES}
    assert sorted(METAFILES) == sorted(f'{family}/metafile.yml' for family in families)


def test_names_are_unique():
    names = [model['Name'] for model in MODELS]
    assert len(set(names)) == len(names)


def test_only_phantoms_and_tests_on_other_lists_are_omitted():
    named = {model['Config'] for model in MODELS}
    configs = {path.as_posix() for path in LEAVES}
    assert named <= configs
    assert [name for name in configs - named if 'phantom' not in name and not name.endswith('_left_out.py')] == []


@pytest.mark.parametrize('file', METAFILES)
def test_collections_and_readmes_exist(file):
    content = load(ROOT / file)
    names = {collection['Name'] for collection in content['Collections']}
    assert {model['In Collection'] for model in content['Models']} == names
    assert all((ROOT / collection['README']).is_file() for collection in content['Collections'])


@pytest.mark.parametrize(
    'model', [model for model in MODELS if {'Epochs', 'Affinities'} & model['Metadata'].keys()], ids=lambda model: model['Name']
)
def test_metadata_matches_the_config(model):
    config, metadata = Config.fromfile(ROOT / model['Config']), model['Metadata']
    if 'Affinities' in metadata:
        assert config.model.roi_head.cls_head.num_affinities == metadata['Affinities']
    if 'Epochs' in metadata:
        assert config.train_cfg.max_epochs == metadata['Epochs']
