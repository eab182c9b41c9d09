"""The test command; tests of what it computes are with the API."""

import argparse

import pytest

import mmaffinity.apis
from mmaffinity.commands import test as command


@pytest.mark.parametrize('is_main', [True, False])
def test_only_the_main_process_names_the_page(monkeypatch, capsys, is_main):
    monkeypatch.setattr(mmaffinity.apis, 'test_model', lambda *args, **kwargs: {}, raising=False)
    monkeypatch.setattr('mmengine.dist.is_main_process', lambda: is_main)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(['affinity_c8', 'model.pth', '--html', 'page.html']))
    assert ('Open page.html in a browser' in capsys.readouterr().out) == is_main
