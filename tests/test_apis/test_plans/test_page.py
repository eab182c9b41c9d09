"""The page of a study: runs, differences from the paper, results and commands."""

import json
import shlex

import pytest

from mmaffinity.apis.plans.folder import PlanFolder
from mmaffinity.apis.plans.page import Part, commands, page_text

pytestmark = pytest.mark.slow


def test_commands_are_printed_in_a_valid_order(two, tmp_path):
    folder = PlanFolder(two, tmp_path / 'my out')
    lines = [shlex.split(line) for line in commands(folder)]
    assert [line[line.index('train') if 'train' in line else line.index('test')] for line in lines] == [
        'train',
        'test',
        'train',
        'test',
    ]
    checkpoint = f'{tmp_path}/my out/runs/a/epoch_3.pth'
    assert checkpoint in lines[1] and f'load_from={checkpoint}' in lines[2] and 'image_size=(64,64)' in lines[0]
    assert not any('load_from' in word for word in lines[3])  # seeds have one test config
    folder.of('a').mkdir(parents=True)
    for name in ('epoch_3.pth', 'results.json'):
        (folder.of('a') / name).touch()
    assert len(list(commands(folder, unfinished=True))) == 2 and folder.done(two.run('a'))


def test_runs_differences_data_and_versions(two, tmp_path):
    folder = PlanFolder(two, tmp_path / 'out')
    (folder.of('a') / 'x').mkdir(parents=True)
    (folder.of('a') / 'epoch_3.pth').touch()
    entry = dict(ann_files=['annotations/slices_test.json'], num=1, synthetic=False, sha256='f00d')
    content = dict(lists=dict(classification=entry), versions=dict(torch='2.9'), data_fingerprint=dict(content_sha256='beef'))
    (folder.of('a') / 'results.json').write_text(json.dumps(content))
    (folder.of('a') / 'data_fingerprint.json').write_text('{"train": {"content_sha256": "cafe"}}')
    text = page_text(folder, [], {'b': 'train failed: a | b'})
    assert '\n| a | affinity_c8_phantom | 0 | done |\n' in text
    assert '\n| b | affinity_c8_phantom_ictcf | 0 | train failed: a \\| b |\n' in text
    assert '* Tables 4 and 7: tested on 1 slice of `slices_test.json`; the paper used 21191 and 12976.\n' in text
    assert '* Runs that override fields of their config (see the commands): a.\n* Not in the tables: b.\n' in text
    assert 'synthetic' not in text
    assert '\n| annotations/slices_test.json | 1 | `f00d` | `beef` |\n| training of a |  |  | `cafe` |\n' in text
    assert '\n## Versions\n\ntorch 2.9\n' in text
    entry['synthetic'], entry['num'] = True, 12976  # as many slices as in the paper
    (folder.of('a') / 'results.json').write_text(json.dumps(content))
    text = page_text(folder, [], {})
    assert 'The slices are synthetic' in text and 'the paper used' not in text
    assert '\n| b | affinity_c8_phantom_ictcf | 0 | not started |\n' in text


def test_tables_keep_their_headings_and_missing_parts_have_a_reason(two, tmp_path):
    folder = PlanFolder(two, tmp_path / 'out')
    (folder.report / 'curves').mkdir(parents=True)
    (folder.report / 'report.md').write_text('# Report\n\n## Table 3\n\n| a |\n')
    pictures = [folder.report / 'curves' / f'a.{kind}' for kind in ('png', 'pdf')]
    parts = [Part('Tables', [folder.report / 'report.md']), Part('Training', pictures), Part('Figure 6', [], 'no lesions')]
    text = page_text(folder, parts, {})
    shown = text[text.index('## Table 3') : text.index('## Data')]
    assert shown == '## Table 3\n\n| a |\n\n## Training\n\n![Training](curves/a.png)\n\n## Figure 6\n\nMissing: no lesions\n\n'
    assert '# Report' not in text and text.endswith('```\n') and '\n## Versions\n\nno run has finished\n' in text
