"""Puts the configs and tools into the package, under ``.mim`` as MMDetection does, where MMEngine and mim look for them.

Everything else about the package is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# A folder below configs/, because MMEngine accepts only names such as 'mmaffinity::affinity/affinity_c8.py'.
PLACES = {'configs': '.mim/configs/affinity', 'tools': '.mim/tools'}


class BuildWithConfigs(build_py):
    """Copies configs and tools into a wheel; an editable installation links to them."""

    def run(self) -> None:
        super().run()
        package = ROOT / 'mmaffinity' if self.editable_mode else Path(self.build_lib).resolve() / 'mmaffinity'
        for source, place in PLACES.items():
            target = package / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink():
                target.unlink()
            elif target.exists():
                shutil.rmtree(target)
            if self.editable_mode:
                try:
                    target.symlink_to(ROOT / source, target_is_directory=True)
                    continue
                except OSError:  # Windows without permission to create links
                    pass
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns('__pycache__'))
        # The paths in the index and the metafiles refer to the repository.
        metafiles = {
            str(path.relative_to(ROOT)): f'metafile_{path.parent.name}.yml' for path in ROOT.glob('configs/**/metafile.yml')
        }
        for source, target in {'model-index.yml': 'model-index.yml', **metafiles}.items():
            text = (ROOT / source).read_text(encoding='utf-8')
            for name, there in metafiles.items():
                text = text.replace(Path(name).as_posix(), there)
            (package / '.mim' / target).write_text(text.replace('configs/', 'configs/affinity/'), encoding='utf-8')


setup(cmdclass={'build_py': BuildWithConfigs})
