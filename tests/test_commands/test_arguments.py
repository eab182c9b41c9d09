"""Arguments shared by several commands."""

import argparse
from types import ModuleType

import pytest

from mmaffinity.commands.arguments import add_config, add_kinds, add_reading_arguments, add_run_arguments, read_options
from mmaffinity.scans import TRAINING_WINDOW, ReadOptions, Window


def parse(add, *words):
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(words)


def test_scans_are_read_in_the_training_window_unless_told_otherwise():
    assert read_options(parse(add_reading_arguments)) == ReadOptions(TRAINING_WINDOW, None, None)
    args = parse(add_reading_arguments, '--window', '40', '400', '--rescale', '5.88', '-1250')
    assert read_options(args) == ReadOptions(Window(40, 400), (5.88, -1250.0), None)
    args.max_value = 4095
    assert read_options(args).max_value == 4095


def test_an_impossible_window_is_an_error():
    with pytest.raises(ValueError, match='width'):
        read_options(parse(add_reading_arguments, '--window', '40', '0'))


def test_config_and_its_overrides():
    args = parse(add_config, 'affinity_c8', '--cfg-options', 'data_root=/d', 'train_cfg.max_epochs=3')
    assert args.config == 'affinity_c8' and args.cfg_options == {'data_root': '/d', 'train_cfg.max_epochs': 3}
    assert parse(add_config, 'affinity_c8').cfg_options is None


def test_launchers_are_those_of_mmengine(capsys):
    # torch.distributed.launch adds the rank in either spelling.
    for option in ('--local_rank=1', '--local-rank=1'):
        args = parse(add_run_arguments, '--launcher', 'pytorch', option)
        assert (args.launcher, args.local_rank, args.verbose) == ('pytorch', 1, False)
    with pytest.raises(SystemExit, match='2'):
        parse(add_run_arguments, '--launcher', 'local')
    assert "invalid choice: 'local'" in capsys.readouterr().err


def test_kinds_are_subcommands_described_by_their_modules(capsys):
    kinds = {}
    for name in ('first', 'second'):
        kinds[name] = ModuleType(name, f'Do the {name} thing.\n\nIn detail.')
        kinds[name].add_arguments = lambda parser, name=name: parser.add_argument(f'--{name}')
    args = parse(lambda parser: add_kinds(parser, kinds), 'second', '--second', '2')
    assert args.kind == 'second' and args.second == '2' and not hasattr(args, 'first')
    with pytest.raises(SystemExit, match='0'):
        parse(lambda parser: add_kinds(parser, kinds), '--help')
    shown = capsys.readouterr().out
    assert 'Do the first thing.' in shown and 'Do the second thing.' in shown and 'In detail' not in shown
    with pytest.raises(SystemExit, match='2'):
        parse(lambda parser: add_kinds(parser, kinds))
    assert 'KIND' in capsys.readouterr().err
