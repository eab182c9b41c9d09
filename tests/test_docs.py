"""Files and tests named in the documentation exist."""

import ast
import re


def functions_of(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_tests_named_in_trust_exist(repo_root):
    named, file = [], None
    for path, name in re.findall(r'`(tests/[\w/]+\.py)?(?:::(test_\w+))?`', (repo_root / 'docs/trust.md').read_text()):
        file = path or file
        if path or name:
            named.append((file, name))
    assert len(named) > 40
    assert [
        f'{file}::{name}'
        for file, name in named
        if not (repo_root / file).is_file() or name and name not in functions_of(repo_root / file)
    ] == []


def test_files_named_in_contributing_and_architecture_exist(repo_root):
    text = (repo_root / 'CONTRIBUTING.md').read_text() + (repo_root / 'docs/architecture.md').read_text()
    named = re.findall(r'`((?:mmaffinity|mmaffinity_cli|configs|tests)/[\w/.]+)`', text)
    named += [f'mmaffinity/{name}' for name in re.findall(r'`((?:utils|checkpoints|commands)/\w+\.py)`', text)]
    assert len(named) > 40 and [name for name in named if not (repo_root / name).exists()] == []


def test_documents_link_to_files_that_exist(repo_root):
    for document in [*(repo_root / 'docs').glob('*.md'), repo_root / 'README.md', repo_root / 'CONTRIBUTING.md']:
        for target in re.findall(r'\]\((?!https?://)([^)#]+)', document.read_text()):
            assert (document.parent / target).exists(), f'{document.name}: {target}'
