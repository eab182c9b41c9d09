"""tools/setup_env.py, tools/build_mmcv.py and the Makefile; pip, venv and compiler are replaced by records of calls."""
import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TORCH = {'version': '2.13.0+cpu', 'cuda': None, 'gpus': []}


@pytest.fixture
def build(repo_root, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(repo_root / 'tools'))
    module = importlib.import_module('build_mmcv')
    monkeypatch.setenv('MMAFFINITY_CACHE', str(tmp_path / 'cache'))
    for name in ('FORCE_CUDA', 'CXX', 'CUDA_HOME', 'TORCH_CUDA_ARCH_LIST', 'MAX_JOBS'):
        monkeypatch.delenv(name, raising=False)
    return module


@pytest.fixture
def setup_env(build):
    return importlib.import_module('setup_env')


@pytest.fixture
def commands(setup_env, build, monkeypatch, tmp_path):
    """Commands that set-up ran, none of them really. The one holding `stop` dies there, as of kill -9."""
    calls = []

    class Killed(BaseException):
        pass

    def run(*command, env=None):
        calls.append(' '.join(map(str, command)))
        if calls.stop and calls.stop in calls[-1]:
            raise Killed
        if ' -m venv ' in calls[-1]:
            python = Path(command[-1], 'bin', 'python')
            python.parent.mkdir(parents=True)
            python.touch()

    class Calls(list):
        stop = ''
        killed = Killed

    calls = Calls()
    monkeypatch.setattr(setup_env, 'run', run)
    monkeypatch.setattr(setup_env.Environment, 'works', lambda self, code: True)
    monkeypatch.setattr(setup_env, 'get_mmcv', lambda python, version: tmp_path / f'onedl_mmcv-{version}.whl')
    return calls


def write_wheel(path: Path, text: str = 'x' * 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as wheel:
        wheel.writestr('mmcv/__init__.py', text)
    return path


class TestRequirements:

    def test_pins_are_read(self, setup_env):
        assert setup_env.read_pin('torch') == '2.13.0'
        assert setup_env.read_pin('onedl-mmcv') == '2.3.6'

    def test_a_lost_pin_is_named(self, setup_env, monkeypatch):
        monkeypatch.setattr(setup_env, 'requirements', lambda: {'torch': 'torch>=2'})
        with pytest.raises(setup_env.SetupError, match='torch=='):
            setup_env.read_pin('torch')

    def test_check_env_and_pyproject_agree(self, setup_env, repo_root):
        from mmaffinity.check_env import PROVIDERS, TESTED
        for package, version in TESTED.items():
            assert setup_env.read_pin(PROVIDERS.get(package, (package,))[0]) == version
        project = (repo_root / 'pyproject.toml').read_text()
        for name in ('numpy', 'scipy', 'Pillow', 'matplotlib', 'pycocotools'):
            assert f'"{setup_env.requirements()[name]}"' in project


class TestSystem:

    def test_python_version(self, setup_env, monkeypatch):
        for version in ((3, 9, 1), (3, 13, 0)):
            monkeypatch.setattr(sys, 'version_info', version)
            with pytest.raises(setup_env.SetupError, match='3.10 to 3.12'):
                setup_env.check_python()

    def test_venv_is_missing(self, setup_env, monkeypatch):
        monkeypatch.setitem(sys.modules, 'ensurepip', None)
        with pytest.raises(setup_env.SetupError, match=rf'apt-get install python3\.{sys.version_info[1]}-venv'):
            setup_env.check_python()

    def test_compiler_is_missing(self, build, monkeypatch):
        monkeypatch.setattr(shutil, 'which', lambda name: None)
        with pytest.raises(build.SetupError, match=r'apt-get install g\+\+ .*MMCV_WHEEL'):
            build.check_compiler()

    def test_headers_are_missing(self, build, monkeypatch, tmp_path):
        monkeypatch.setattr(shutil, 'which', lambda name: f'/usr/bin/{name}')
        monkeypatch.setattr(build.sysconfig, 'get_path', lambda name: str(tmp_path))
        with pytest.raises(build.SetupError, match=rf'apt-get install python3\.{sys.version_info[1]}-dev'):
            build.check_compiler()

    def test_disk_is_full(self, build, tmp_path):
        with pytest.raises(build.SetupError, match='the build takes 1000000 GiB'):
            build.check_space(tmp_path, 1_000_000, 'the build', 'make room')

    @pytest.mark.parametrize('torch, force, message', [
        (TORCH, '1', 'CPU build'),
        ({'version': '2.13.0+cu130', 'cuda': '13.0', 'gpus': ['9.0']}, '0', 'no nvcc .* CUDA 13.0'),
    ])
    def test_cuda_that_cannot_be_compiled(self, build, monkeypatch, tmp_path, torch, force, message):
        monkeypatch.setenv('FORCE_CUDA', force)
        monkeypatch.setenv('CUDA_HOME', str(tmp_path))
        monkeypatch.setattr(shutil, 'which', lambda name: None)
        with pytest.raises(build.SetupError, match=message):
            build.check_cuda(torch)

    def test_cuda(self, build, monkeypatch):
        monkeypatch.setattr(shutil, 'which', lambda name: f'/usr/bin/{name}')
        assert not build.check_cuda(TORCH)
        assert build.check_cuda({'version': '2.13.0+cu130', 'cuda': '13.0', 'gpus': ['9.0']})

    @pytest.mark.parametrize('cores, gib, jobs', [(2, 24, 2), (64, 16, 10), (4, 1, 1)])
    def test_jobs(self, build, monkeypatch, cores, gib, jobs):
        monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(cores)), raising=False)
        monkeypatch.setattr(os, 'sysconf', {'SC_PAGE_SIZE': 4096, 'SC_PHYS_PAGES': gib * 2**18}.get)
        assert build.count_jobs() == jobs


class TestCache:

    def test_key_names_all_it_depends_on(self, build, monkeypatch):
        key = build.wheel_key('2.3.6', TORCH, False)
        assert 'mmcv2.3.6' in key and 'torch2.13.0+cpu' in key
        assert f'cp{sys.version_info[0]}{sys.version_info[1]}' in key and os.uname().machine in key
        cuda = {'version': '2.13.0+cu130', 'cuda': '13.0', 'gpus': ['8.6', '9.0']}
        keys = {key, build.wheel_key('2.3.7', TORCH, False), build.wheel_key('2.3.6', cuda, False),
                build.wheel_key('2.3.6', cuda, True), build.wheel_key('2.3.6', {**cuda, 'gpus': ['9.0']}, True)}
        monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '7.5;8.0+PTX')
        keys.add(build.wheel_key('2.3.6', cuda, True))
        assert len(keys) == 6 and not any('/' in key or ' ' in key for key in keys)

    def test_folder(self, build, monkeypatch, tmp_path):
        assert build.cache_folder() == tmp_path / 'cache'
        monkeypatch.delenv('MMAFFINITY_CACHE')
        monkeypatch.setenv('XDG_CACHE_HOME', '/somewhere')
        assert build.cache_folder() == Path('/somewhere/mmaffinity')

    def test_truncated_and_altered_wheels_are_not_whole(self, build, tmp_path):
        wheel = write_wheel(tmp_path / 'a.whl')
        content = wheel.read_bytes()
        assert build.whole_wheel(wheel)
        for cut in (0, 1, len(content) // 2, len(content) - 1):
            wheel.write_bytes(content[:cut])
            assert not build.whole_wheel(wheel)
        wheel.write_bytes(content.replace(b'xxxx', b'xxxy', 1))
        assert not build.whole_wheel(wheel)
        assert not build.whole_wheel(tmp_path / 'absent.whl')

    def test_compiled_once_and_again_when_truncated(self, build, monkeypatch, tmp_path):
        compiled = []

        def compile_wheel(python, version, cuda, compiler, scratch):
            compiled.append(scratch)
            return write_wheel(scratch / 'out' / 'onedl_mmcv-2.3.6.whl')

        monkeypatch.setattr(subprocess, 'check_output', lambda *args, **kwargs: f'a warning\n{json.dumps(TORCH)}\n')
        monkeypatch.setattr(build, 'compile_wheel', compile_wheel)
        monkeypatch.setattr(build, 'check_compiler', lambda: 'g++')
        wheel = build.get_mmcv(Path('python'), '2.3.6')
        assert build.whole_wheel(wheel) and wheel.is_relative_to(tmp_path / 'cache')
        assert build.get_mmcv(Path('python'), '2.3.6') == wheel and len(compiled) == 1
        wheel.write_bytes(wheel.read_bytes()[:50])
        assert build.whole_wheel(build.get_mmcv(Path('python'), '2.3.6')) and len(compiled) == 2
        assert sorted(path.name for path in wheel.parent.iterdir()) == [wheel.name]
        assert not any(scratch.exists() for scratch in compiled)

    def test_scratch_of_a_killed_build_goes(self, build, monkeypatch, tmp_path):
        left = tmp_path / f'{build.SCRATCH_PREFIX}abc'
        left.mkdir()
        other = tmp_path / 'other'
        other.mkdir()
        monkeypatch.setattr(subprocess, 'check_output', lambda *args, **kwargs: json.dumps(TORCH))
        monkeypatch.setattr(build, 'check_compiler', lambda: 'g++')
        monkeypatch.setattr(build, 'compile_wheel', lambda *args: write_wheel(args[-1] / 'out' / 'onedl_mmcv.whl'))
        for folder in (left, other):
            shutil.rmtree(tmp_path / 'cache', ignore_errors=True)
            lock = tmp_path / 'cache' / 'wheels' / f'{build.wheel_key("2.3.6", TORCH, False)}.lock'
            lock.parent.mkdir(parents=True)
            lock.write_text(str(folder))
            build.get_mmcv(Path('python'), '2.3.6')
        assert not left.exists() and other.exists()

    def test_lock_outlives_its_holder_in_a_child(self, build, tmp_path):
        """A killed set-up whose pip goes on keeps the next one waiting until that pip ends."""
        code = f'''if True:
            import os, signal, subprocess, sys
            sys.path.insert(0, {str(Path(build.__file__).parent)!r})
            import build_mmcv
            from pathlib import Path
            with build_mmcv.locked(Path({str(tmp_path / "lock")!r}), 'it'):
                subprocess.Popen(['sleep', '1'], pass_fds=build_mmcv.LOCKS, stdout=subprocess.DEVNULL)
                os.kill(os.getpid(), signal.SIGKILL)
            '''
        assert subprocess.run([sys.executable, '-c', code]).returncode == -9
        start = os.times().elapsed
        with build.locked(tmp_path / 'lock', 'it'):
            assert os.times().elapsed - start > 0.3
        assert build.LOCKS == []

    def test_wrapper_precompiles_the_header_once(self, build, tmp_path):
        """The wrapper gives the compiler its own arguments, and compiles the header with the same flags, once."""
        ops = tmp_path / 'with space' / 'mmcv/ops/csrc'
        ops.mkdir(parents=True)
        header, log = ops / 'helper.hpp', tmp_path / 'log'
        compiler = tmp_path / 'real'
        compiler.write_text(f'#!/bin/sh\necho "$@" >> {log}\n'
                            'while [ $# -gt 0 ]; do if [ "$1" = -o ]; then : > "$2"; fi; shift; done\n')
        wrapper = tmp_path / 'g++'
        wrapper.write_text(build.WRAPPER.format(python=sys.executable, compiler=str(compiler), header=str(header)))
        for path in (compiler, wrapper):
            path.chmod(0o755)
        for name in ('a', 'b'):
            command = ['-MMD', '-MF', f'{name}.d', '-O2', '-fPIC', '-c', str(ops / f'{name}.cpp'), '-o',
                       str(tmp_path / f'{name}.o')]
            subprocess.run([str(wrapper), *command], check=True)
        subprocess.run([str(wrapper), '-shared', 'a.o', '-o', str(tmp_path / 'ext.so')], check=True)
        lines = log.read_text().splitlines()
        assert lines[0] == f'-O2 -fPIC -x c++-header {header} -o {header}.gch.part'
        assert len(lines) == 4 and lines[2].startswith('-MMD') and lines[3].startswith('-shared')
        assert Path(f'{header}.gch').exists()


class TestEnvironment:

    def test_first_second_and_third_run(self, setup_env, commands, tmp_path, capsys):
        venv = ['--venv', str(tmp_path / 'venv')]
        assert setup_env.main(venv) == 0
        assert [name for name in ('-m venv', 'torch==2.13.0', 'onedl_mmcv-2.3.6.whl', '--editable', 'check_env')
                if not any(name in call for call in commands)] == []
        assert not any('onedl-mmcv==' in call for call in commands)  # would be compiled a second time
        commands.clear()
        assert setup_env.main(venv) == 0 and commands == []
        assert setup_env.main([*venv, '--extras', ',test']) == 0
        assert any('[test]' in call for call in commands) and not any('-m venv' in call for call in commands)
        commands.clear()
        assert setup_env.main(venv) == 0 and commands == []  # extras that are there stay there
        assert capsys.readouterr().out.endswith('is ready\n')

    @pytest.mark.parametrize('phase', ['-m venv', 'torch==', '--no-deps', '--editable'])
    def test_killed_in_any_phase_and_run_again(self, setup_env, commands, tmp_path, phase):
        venv = tmp_path / 'venv'
        commands.stop = phase
        with pytest.raises(commands.killed):
            setup_env.main(['--venv', str(venv)])
        (venv / 'half').touch()
        commands.stop = ''
        commands.clear()
        assert setup_env.main(['--venv', str(venv)]) == 0
        assert '-m venv' in commands[0] and not (venv / 'half').exists()

    def test_a_failed_check_is_only_checked_again(self, setup_env, commands, tmp_path):
        venv = ['--venv', str(tmp_path / 'venv')]
        commands.stop = 'check_env'
        with pytest.raises(commands.killed):
            setup_env.main(venv)
        commands.stop = ''
        commands.clear()
        assert setup_env.main(venv) == 0
        assert len(commands) == 1 and 'mmaffinity.check_env' in commands[0]

    def test_changed_requirements_are_installed_in_place(self, setup_env, commands, monkeypatch, tmp_path):
        venv = ['--venv', str(tmp_path / 'venv')]
        assert setup_env.main(venv) == 0
        commands.clear()
        digest = setup_env.digest
        monkeypatch.setattr(setup_env, 'digest', lambda options: 'other' + digest(options))
        assert setup_env.main(venv) == 0
        assert commands and not any('-m venv' in call for call in commands)

    def test_another_python_makes_it_anew(self, setup_env, commands, monkeypatch, tmp_path):
        venv = ['--venv', str(tmp_path / 'venv')]
        assert setup_env.main(venv) == 0
        commands.clear()
        monkeypatch.setattr(sys, 'version', sys.version.replace('[', '[another '))
        assert setup_env.main(venv) == 0
        assert '-m venv' in commands[0]

    def test_a_folder_of_others_is_left_alone(self, setup_env, commands, tmp_path, capsys):
        (tmp_path / 'thesis.tex').touch()
        assert setup_env.main(['--venv', str(tmp_path)]) == 1
        assert 'VENV=' in capsys.readouterr().err and commands == [] and (tmp_path / 'thesis.tex').exists()

    def test_a_given_wheel_is_used_and_remembered(self, setup_env, commands, monkeypatch, tmp_path):
        wheel = write_wheel(tmp_path / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl')
        monkeypatch.setattr(setup_env, 'get_mmcv', lambda *args: pytest.fail('compiled'))
        monkeypatch.setattr(setup_env, 'check_compiler', lambda: pytest.fail('no compiler is needed'))
        venv = ['--venv', str(tmp_path / 'venv')]
        assert setup_env.main([*venv, '--mmcv-wheel', str(wheel)]) == 0
        removal = next(i for i, call in enumerate(commands) if 'uninstall' in call)
        assert commands[removal].endswith('mmcv onedl-mmcv mmcv-lite')
        assert commands[removal + 1].endswith(f'--no-deps {wheel}')  # its mmengine would clash with ours
        commands.clear()
        wheel.unlink()
        assert setup_env.main(venv) == 0 and commands == []

    def test_a_broken_given_wheel_is_refused(self, setup_env, commands, tmp_path, capsys):
        (tmp_path / 'x.whl').touch()
        for path in (tmp_path / 'x.whl', tmp_path / 'absent.whl', tmp_path):
            assert setup_env.main(['--venv', str(tmp_path / 'venv'), '--mmcv-wheel', str(path)]) == 1
            assert 'not a whole wheel' in capsys.readouterr().err
        assert commands == [] and not (tmp_path / 'venv').exists()

    def test_the_compiler_is_asked_for_before_the_download(self, setup_env, commands, monkeypatch, tmp_path, capsys):
        def missing():
            raise setup_env.SetupError('no C++ compiler found')

        monkeypatch.setattr(setup_env, 'check_compiler', missing)
        assert setup_env.main(['--venv', str(tmp_path / 'venv')]) == 1
        assert capsys.readouterr().err == 'setup: no C++ compiler found\n' and commands == []

    def test_opencv_without_libgl(self, setup_env, commands, monkeypatch, tmp_path):
        monkeypatch.setattr(setup_env.Environment, 'works', lambda self, code: code != 'import cv2')
        monkeypatch.setattr(setup_env.Environment, 'output', lambda self, code: '4.12.0.88')
        assert setup_env.main(['--venv', str(tmp_path / 'venv')]) == 0
        swap = next(i for i, call in enumerate(commands) if call.endswith('uninstall --quiet --yes opencv-python'))
        assert commands[swap + 1].endswith('--force-reinstall --no-deps opencv-python-headless==4.12.0.88')


@pytest.mark.skipif(shutil.which('make') is None, reason='make is not installed')
class TestMakefile:

    @pytest.fixture
    def make(self, repo_root, tmp_path):
        """`make` with a PATH that holds only the named fake Pythons: version, or None for one that fails."""
        for tool in ('sh', 'make'):
            (tmp_path / tool).symlink_to(shutil.which(tool))

        def call(*arguments, **pythons):
            for name, version in pythons.items():
                path = tmp_path / name.replace('_', '.')
                code = '127' if version is None else f'$((! {int((3, 10) <= version <= (3, 12))}))'
                path.write_text(f'#!/bin/sh\nexit {code}\n')
                path.chmod(0o755)
            env = {**os.environ, 'PATH': str(tmp_path)}
            for name in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'PYTHON', 'VENV', 'EXTRAS', 'MMCV_WHEEL', 'COVERAGE', 'WORKERS'):
                env.pop(name, None)  # of the `make test` that runs us
            return subprocess.run([shutil.which('make'), '-C', str(repo_root), *arguments], env=env, text=True,
                                  capture_output=True)
        return call

    def test_finds_the_first_that_runs_and_is_supported(self, make, tmp_path):
        venv = f'VENV={tmp_path / "venv"}'
        output = make('-n', 'setup', venv, python3=None, python3_12=None, python3_11=(3, 11), python3_10=(3, 10)).stdout
        assert '"python3.11" tools/setup_env.py' in output
        output = make('-n', 'setup', venv, python3=(3, 13), python3_12=(3, 12)).stdout
        assert '"python3.12" tools/setup_env.py' in output
        assert '"python3" tools/setup_env.py' in make('-n', 'test', venv, python3=(3, 10)).stdout

    def test_an_environment_keeps_its_python(self, make, tmp_path):
        make('-n', 'setup', other=(3, 10), python3=(3, 11))
        (tmp_path / 'venv/bin').mkdir(parents=True)
        (tmp_path / 'venv/bin/python').symlink_to(tmp_path / 'other')
        output = make('-n', 'setup', f'VENV={tmp_path / "venv"}').stdout
        assert f'"{tmp_path.resolve() / "other"}" tools/setup_env.py' in output

    def test_variables(self, make):
        output = make('-n', 'test', 'PYTHON=p', 'VENV=v', 'EXTRAS=dev', 'MMCV_WHEEL=w.whl').stdout
        assert '"p" tools/setup_env.py --venv "v" --mmcv-wheel "w.whl" --extras "dev,test"' in output
        assert '"v/bin/python" -m pytest' in output
        assert '"v/bin/python" tools/demo.py' in make('-n', 'demo', 'PYTHON=p', 'VENV=v').stdout

    def test_no_python_at_all(self, make, tmp_path):
        done = make('setup', f'VENV={tmp_path / "venv"}', python3=(3, 9))
        assert done.returncode != 0 and 'no Python 3.10 to 3.12 found; run: apt-get install' in done.stderr


def test_readable_by_an_old_python(setup_env, build):
    """Python 3.7 and 3.8 must get as far as the sentence about their version."""
    import ast
    for module in (setup_env, build):
        ast.parse(Path(module.__file__).read_text(), feature_version=(3, 7))
