"""The command `mmaffinity`: its list of commands, and the equivalent scripts in tools/."""

import ast
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys

import pytest

import mmaffinity.commands
from mmaffinity_cli import CHECK_ENV, COMMANDS, main, parse


def run(monkeypatch, *arguments, verbs=()):
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', *arguments])
    main(*verbs)


@pytest.mark.parametrize('arguments', [[], ['--help'], ['-h']])
def test_help_lists_every_command(monkeypatch, capsys, arguments):
    run(monkeypatch, *arguments)
    text = capsys.readouterr().out
    assert all(re.search(rf'^  {name} +{re.escape(what)}$', text, re.M) for name, what in COMMANDS.items())


def test_help_imports_the_standard_library_only():
    code = (
        'import sys; from mmaffinity_cli import main; main("--help"); '
        'print([name for name in ("torch", "mmaffinity") if name in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'


def test_help_and_usage_errors_of_commands_do_not_load_torch():
    code = """
import sys
from mmaffinity_cli import COMMANDS, main
for name in COMMANDS:
    for option in '--help', '--no-such-option':
        try:
            main(name, option)
        except SystemExit as end:
            loaded = sorted({'torch', 'mmengine', 'mmcv', 'mmdet'} & set(sys.modules))
            print('ended', name, end.code, *loaded)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    ended = [line for line in done.stdout.splitlines() if line.startswith('ended')]
    assert ended == [f'ended {name} {code}' for name in COMMANDS for code in (0, 2)]


def test_the_package_run_as_a_module_is_the_same_command():
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', '-m', 'mmaffinity', 'train', '--help'], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith('usage: mmaffinity train ')
    imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'mmaffinity' in imported and imported & {'torch', 'mmengine', 'mmcv', 'mmdet'} == set()


def test_drawing_and_converting_do_not_load_torch(tmp_path):
    names = ('lesions-train', 'lesions-test', 'slices-train', 'slices-selected', 'slices-val', 'slices-test')
    few = [f'--{name}=3' for name in names] + ['--ictcf-train=2', '--ictcf-test=2', '--slices-per-patient=1', '--size=64']
    code = f"""
import sys
from mmaffinity_cli import main
main('phantom', 'data', *{few})
main('convert', 'cncb-ncov', 'data/cncb_ncov', '--min-area=10')
main('convert', 'ictcf', 'data/ictcf')
print(sorted({{'torch', 'mmengine', 'mmcv', 'mmdet'}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'data/ictcf/annotations/statistics.json').is_file()
    assert done.stdout.splitlines()[-1] == '[]'


def test_version(monkeypatch, capsys):
    run(monkeypatch, '--version')
    assert re.fullmatch(r'mmaffinity \d+\.\d+\S*\n', capsys.readouterr().out)


def test_names_that_cannot_be_printed_are_escaped():
    code = "import sys; sys.argv[1:] = ['--help']; from mmaffinity_cli import main; main(); print('\\u60a3', '\\udcff')"
    environment = {**os.environ, 'PYTHONIOENCODING': 'ascii:strict'}
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == r'\u60a3 \udcff'


def test_unknown_commands_name_a_near_one(monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, 'trian')
    assert end.value.code == 2
    assert capsys.readouterr().err == "mmaffinity: error: there is no command 'trian'; did you mean train?\n"


@pytest.mark.parametrize('name', sorted(set(COMMANDS) - {CHECK_ENV}))
def test_every_command_has_help(monkeypatch, capsys, name):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, name, '--help')
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f'usage: mmaffinity {name} ')
    module = importlib.import_module(f'mmaffinity.commands.{name.replace("-", "_")}')
    assert (module.__doc__ or '').splitlines()[0] in text


def test_examples_in_the_help_are_valid_commands():
    examples = []
    for module in pkgutil.iter_modules(mmaffinity.commands.__path__):
        text = importlib.import_module(f'mmaffinity.commands.{module.name}').__doc__ or ''
        examples += re.findall(r'^    mmaffinity (.+)$', text.replace('\\\n', ''), re.M)
    assert len(examples) > 20
    for example in examples:
        name, *arguments = shlex.split(example)
        command = importlib.import_module(f'mmaffinity.commands.{name.replace("-", "_")}')
        parse(command, arguments, f'mmaffinity {name}')


def test_wrong_use_has_exit_code_2_and_no_traceback(monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, 'train', 'affinity_c9')
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith('error: no such config: affinity_c9; did you mean ') and 'Traceback' not in error


def test_every_script_stands_for_a_command(repo_root):
    """Each of tools/*.py is a call of main() with an existing command or kind, except one that drives a browser."""
    scripts = sorted(path for path in (repo_root / 'tools').rglob('*.py') if path.name != 'page_speed.py')
    stood_for = set()
    for script in scripts:
        calls = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Call)]
        assert len(calls) == 1 and calls[0].func.id == 'main', script
        verbs = [argument.value for argument in calls[0].args]
        assert verbs[0] in COMMANDS, script
        if len(verbs) == 2:
            assert verbs[1] in importlib.import_module(f'mmaffinity.commands.{verbs[0]}').KINDS, script
        stood_for.add(verbs[0])
        assert f'mmaffinity {" ".join(verbs)}' in ast.get_docstring(ast.parse(script.read_text())), script
    assert stood_for == set(COMMANDS) - {CHECK_ENV}


def test_a_script_runs_its_command(repo_root):
    done = subprocess.run(
        [sys.executable, 'tools/dataset_converters/ictcf.py', '/nowhere'], cwd=repo_root, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith('error: ') and '/nowhere' in done.stderr
