"""Reading configs: their names, and invalid overrides."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmaffinity.utils.config import config_argument, config_name, find_config, load_config, own_config, work_folder


@pytest.mark.parametrize(
    'overrides, words',
    [
        ({'randomness': 5}, 'randomness is 5, not a dict'),
        ({'custom_hooks': 5}, 'custom_hooks is 5, not a list of dicts'),
        ({'custom_hooks': [5]}, r'custom_hooks.0 is 5, not a dict'),
        ({'default_hooks': 5}, 'default_hooks is 5, not a dict'),
        ({'image_size': 256}, r'image_size is 256, not a width and a height in pixels, such as \(512, 512\)'),
        ({'load_from': 5}, 'load_from is 5, not a path'),
        ({'train_dataloader.dataset': 3}, 'train_dataloader.dataset is 3, not a dict'),
        ({'model': 'x'}, "model is 'x', not a dict"),
    ],
)
def test_fields_of_the_wrong_type(repo_root, overrides, words):
    with pytest.raises(ValueError, match=f'affinity_c8_phantom.py cannot be read as a config with .*: TypeError: {words}'):
        load_config(repo_root / 'configs/affinity_c8_phantom.py', overrides)


@pytest.mark.parametrize(
    'misspelt, meant',
    [('tran_cfg.max_epochs', 'train_cfg'), ('data_rot', 'data_root'), ('optim_wraper.optimizer.lr', 'optim_wrapper')],
)
def test_misspelt_top_level_field_is_rejected(repo_root, misspelt, meant):
    with pytest.raises(ValueError, match=f'unknown field {misspelt.split(".")[0]}; did you mean {meant}\\?'):
        load_config(repo_root / 'configs/affinity_c8_phantom.py', {misspelt: 1})


@pytest.mark.parametrize(
    'name, meant',
    [
        ('lr', 'optim_wrapper.optimizer.lr'),
        ('optimizer.lr', 'optim_wrapper.optimizer.lr'),
        ('max_epochs', 'train_cfg.max_epochs'),
        ('num_affinities', 'model.roi_head.cls_head.num_affinities'),
        ('batch_size', 'train_dataloader.batch_size or val_dataloader.batch_size or test_dataloader.batch_size'),
    ],
)
def test_inner_field_without_its_path_is_rejected(repo_root, name, meant):
    with pytest.raises(ValueError, match=f'unknown field {name.split(".")[0]}; did you mean {meant}\\?'):
        load_config(repo_root / 'configs/affinity_c8_phantom.py', {name: 1})


def test_misspelt_override_of_a_loaded_config(repo_root):
    config = load_config(repo_root / 'configs/affinity_c8_phantom.py')
    with pytest.raises(ValueError, match='unknown field modl; did you mean model'):
        own_config(config, {'modl.test_cfg.mode': 'detection'})


def test_new_fields_may_be_added(repo_root):
    overrides = {'my_note': 'x', 'work_dir': 'w', 'resume': False, 'cfg_note.a': 1}
    assert load_config(repo_root / 'configs/affinity_c8_phantom.py', overrides).my_note == 'x'


def test_none_switches_a_field_off(repo_root):
    overrides = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None, 'load_from': None}
    assert load_config(repo_root / 'configs/affinity_c8_phantom.py', overrides).val_dataloader is None


@pytest.mark.parametrize(
    'name',
    ['affinity_c8', 'affinity_c8.py', 'configs/affinity_c8.py', 'baselines/single_shot', 'published/affinity_c16_ictcf.py'],
)
def test_configs_are_found_by_name(repo_root, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    parts = [part for part in name.removesuffix('.py').split('/') if part != 'configs']
    assert find_config(name).resolve() == (repo_root / 'configs').joinpath(*parts).with_suffix('.py')


def test_the_name_of_a_config_is_its_path_below_configs(tmp_path):
    (tmp_path / 'configs/my').mkdir(parents=True)
    names = {name: find_config(name) for name in ('affinity_c8', 'published/affinity_c8')}
    names |= {'plain': tmp_path / 'plain.py', 'my/own': tmp_path / 'configs/my/own.py'}
    names['plain'].touch()
    names['my/own'].touch()
    assert [config_name(Config.fromfile(path)) for path in names.values()] == list(names)
    assert config_name(Config()) is None


def test_messages_name_a_config_as_a_command_takes_it(tmp_path):
    """Not by the place of the installed package, which nobody typed."""
    own = tmp_path / 'my_slices.py'
    own.touch()
    assert config_argument(Config.fromfile(find_config('published/affinity_c8'))) == 'published/affinity_c8'
    assert config_argument(Config.fromfile(own)) == str(own)
    assert config_argument(Config()) == 'CONFIG'


def test_file_takes_precedence_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'affinity_c8.py').write_text('model = dict()')
    assert find_config('affinity_c8.py') == Path('affinity_c8.py')
    assert find_config('affinity_c8').is_absolute()


@pytest.mark.parametrize(
    'name, near',
    [
        ('affinity_c9', 'affinity_c'),
        ('baselines/single_shoot', 'baselines/single_shot'),
        ('configs/afinity_c8.py', 'affinity_c8'),
    ],
)
def test_similar_names_are_suggested(tmp_path, monkeypatch, name, near):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f'no such config: {name}; did you mean .*{near}'):
        find_config(name)


def test_a_broken_link_is_named(tmp_path):
    link = tmp_path / 'mine.py'
    link.symlink_to(tmp_path / 'moved.py')
    with pytest.raises(FileNotFoundError, match=r'mine.py is a link to .*moved.py, which does not exist'):
        find_config(link)


@pytest.mark.parametrize('name', ['', '.', '../configs/affinity_c8', '_base_/default_runtime', '/affinity_c8', 'nothing'])
def test_unknown_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='no such config'):
        find_config(name)


def test_the_work_directory_of_a_run(monkeypatch):
    monkeypatch.setenv('HOME', '/home/reader')
    config = load_config('affinity_c8')
    assert work_folder(config) == 'work_dirs/affinity_c8' and work_folder(Config(dict())) == 'work_dirs/model'
    config.work_dir = '~/runs/a'
    assert work_folder(config) == '/home/reader/runs/a' and work_folder(config, '~/b') == '/home/reader/b'
    assert work_folder(config, 'c') == 'c'
