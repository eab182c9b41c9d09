"""Configs that MMEngine wrote as text are read, and nothing in them is run."""

import pytest
from mmengine.config import Config

from mmaffinity.utils.config import load_config
from mmaffinity.utils.config_text import config_differences, read_config_text


@pytest.mark.parametrize('name', ['affinity_c8', 'affinity_c8_phantom', 'published/affinity_c8', 'baselines/vgg16_ictcf'])
@pytest.mark.parametrize('formatted', [False, True])
def test_mmengine_config_text_is_parsed(repo_root, name, formatted):
    config = load_config(repo_root / f'configs/{name}.py')
    object.__setattr__(config, '_format_python_code', formatted)
    read = read_config_text(config.pretty_text)
    assert read is not None and config_differences(read, dict(config)) == []
    assert isinstance(read['image_size'], tuple)
    config.optim_wrapper.optimizer.lr *= 2
    place, before, now = config_differences(read, dict(config))[0]
    assert place == 'optim_wrapper.optimizer.lr' and now == 2 * before


def test_values():
    text = Config(dict(a=None, b=-1.5e-3, c={'x.y': dict(z=[1, (2, 'three')])}, d=float('inf'), e=[dict(f=True)])).pretty_text
    assert read_config_text(text) == dict(
        a=None, b=-1.5e-3, c={'x.y': dict(z=[1, (2, 'three')])}, d=float('inf'), e=[dict(f=True)]
    )


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        "a = __import__('os')",
        "a = open('x', 'w')",
        'a = dict(b=exit())',
        'a = dict(**b)',
        'a = [x for x in ()]',
        'a = {**b}',
        'a.b = 1',
        'print(1)',
        "a = 'x' % 1",
        'a = dict(1)',
        'a = {[]: 1}',
        'a = (',
        'a = ' + '(' * 500,
        'a = \0',
        None,
        7,
    ],
)
def test_anything_else_is_rejected(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_config_text(text) is None and not list(tmp_path.iterdir())


def test_differences():
    first = dict(a=1, b=dict(c=[1, dict(d=2)], e=(1, 2)), f=None, skip=1)
    assert config_differences(first, dict(a=1, b=dict(c=[1, dict(d=2)], e=[1, 2]), skip=2), frozenset({'skip'})) == []
    second = dict(a=dict(x=1), b=dict(c=[1, dict(d=3)], e=(1, 2, 3)))
    assert config_differences(first, second, frozenset({'skip'})) == [
        ('a', 1, dict(x=1)),
        ('b.c.1.d', 2, 3),
        ('b.e', (1, 2), (1, 2, 3)),
    ]
