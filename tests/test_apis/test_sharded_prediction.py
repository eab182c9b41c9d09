"""Prediction by several processes into one folder gives the same bytes as one process, whatever is killed."""

import json
from pathlib import Path

import pytest
from run_helpers import as_rank_0_of_2, as_rank_1_of_2, kill_in_prediction, run_command
from scan_helpers import SHARD_OPTIONS, predict_shard

from mmaffinity.apis import scan_writer
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.apis.prediction_totals import merge_shards
from mmaffinity.scans.output_folder import OutputFolder

pytestmark = pytest.mark.slow


class Interrupt(BaseException):
    """As a signal: not what is caught around each scan."""


@pytest.fixture(autouse=True)
def one_time(monkeypatch):
    """Fix the time written into the results, the only difference between two runs."""
    monkeypatch.setattr(scan_writer, 'now', lambda: '2021-01-01T00:00:00+00:00')


def content(folder: Path, leave_out: str = '.shard-') -> dict:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and leave_out not in path.name
    }


@pytest.fixture
def whole(study, inferencer, tmp_path):
    predict_to_folder(inferencer, study, tmp_path / 'whole', **SHARD_OPTIONS)
    return content(tmp_path / 'whole')


def test_files_about_all_scans(whole, study):
    report = json.loads(whole['report.json'])
    rows = whole['slices.csv'].decode().splitlines()
    lesions = json.loads(whole['lesions.json'])
    assert rows[0].startswith('scan,index,name,') and len(rows) == 1 + sum(scan['num_predicted'] for scan in report['scans'])
    assert {row.split(',')[0] for row in rows[1:]} == {scan['folder'] for scan in report['scans']}
    assert len(lesions['images']) == len(rows) - 1 == len({image['id'] for image in lesions['images']})
    assert [item['id'] for item in lesions['annotations']] == list(range(1, len(lesions['annotations']) + 1))
    single = [json.loads(whole[f'{scan["folder"]}/lesions.json']) for scan in report['scans']]
    names = {image['id']: image['file_name'] for image in lesions['images']}
    expected = [
        (names_of[item['image_id']], item['segmentation'], item['score'])
        for found in single
        for names_of in [{image['id']: image['file_name'] for image in found['images']}]
        for item in found['annotations']
    ]
    assert [(names[item['image_id']], item['segmentation'], item['score']) for item in lesions['annotations']] == expected
    assert expected and len(report['not_predicted']) == 3


@pytest.mark.parametrize('num', [1, 2, 3, 7])
def test_shards_give_the_same_bytes_as_one_process(tmp_path, study, whole, inferencer, num):
    out = tmp_path / 'out'
    for index in reversed(range(num)):
        predict_shard(inferencer, study, out, index, num)
    report = merge_shards(out)
    assert content(out) == whole and len(report.scans) == 6 and len(report.problems) == 3


@pytest.mark.parametrize('before, after', [(2, 3), (3, 2), (7, 1)])
def test_killed_shards_can_be_resumed_with_another_number(tmp_path, study, whole, inferencer, monkeypatch, before, after):
    out, predicted = tmp_path / 'out', []
    predict_slices = inferencer.predict_slices
    monkeypatch.setattr(
        inferencer,
        'predict_slices',
        lambda slices: predict_slices(predicted.append(getattr(item, 'name', None)) or item for item in slices),
    )

    def stop(done, total, name):
        if done == 2:
            raise Interrupt

    for index in range(before):
        try:
            predict_shard(inferencer, study, out, index, before, progress=stop)
        except Interrupt:
            pass
    with pytest.raises(
        ValueError, match=rf'of {before} did not finish .*--num-shards {before} --shard I --resume|no shard report'
    ):
        merge_shards(out)
    known = sum('"slice": ' in line for journal in out.glob('*/journal.jsonl') for line in journal.read_text().splitlines())
    predicted.clear()
    for index in range(after):
        predict_shard(inferencer, study, out, index, after, resume=True)
    merge_shards(out)
    assert len([name for name in predicted if name is not None]) == 13 - known and known > 1
    # The journal has an unreadable slice once for each time that it was tried.
    found = content(out)
    assert {name for name in whole if found[name] != whole[name]} <= {'study_b/journal.jsonl'} and found.keys() == whole.keys()


def test_killed_process_can_be_restarted_and_merged(tmp_path, repo_root, study, model):
    """As under torchrun: one process dies and the other finishes; the first is restarted, and both are merged."""
    arguments = [
        repo_root / 'tools/predict.py',
        study,
        '--config',
        model[0],
        '--checkpoint',
        model[1],
        '--device',
        'cpu',
        '--overlays',
        'none',
    ]
    out = tmp_path / 'out'
    assert run_command(repo_root, *arguments, '--out', out, '--num-shards', '2', '--shard', '0', before=kill_in_prediction) < 0
    assert run_command(repo_root, *arguments, '--out', out, before=as_rank_1_of_2) == 0
    merge = repo_root / 'tools/predict.py', '--merge', '--out', out
    assert run_command(repo_root, *merge) == 2
    assert run_command(repo_root, *arguments, '--out', out, '--resume', before=as_rank_0_of_2) == 0
    assert run_command(repo_root, *merge) == 0
    assert run_command(repo_root, *arguments, '--out', tmp_path / 'whole') == 0
    for name, expected in content(tmp_path / 'whole').items():
        found = content(out)[name]
        for line, other in zip(expected.splitlines(), found.splitlines(), strict=True):
            assert line == other or b'"created"' in line, name
    assert content(out).keys() - content(tmp_path / 'whole').keys() <= {'.lock.0-of-2'}  # of the killed process


def test_only_shards_of_the_same_division_write_concurrently(tmp_path, study, inferencer):
    out, seen = tmp_path / 'out', []

    def others(done, total, name):
        if seen:
            return
        seen.append(name)
        with OutputFolder(out).lock('1-of-2'):
            pass
        for shard in ('0-of-2', '0-of-3', ''):
            with pytest.raises(ValueError, match='another process is writing to .*out'), OutputFolder(out).lock(shard):
                pass
        with pytest.raises(ValueError, match='another process'):
            merge_shards(out)

    predict_shard(inferencer, study, out, 0, 2, progress=others)
    assert seen and not list(out.glob('.lock*'))


def test_earlier_results_are_not_overwritten_by_accident(tmp_path, study, inferencer):
    out = tmp_path / 'out'
    predict_shard(inferencer, study, out, 0, 2)
    predict_shard(inferencer, study, out, 1, 2)  # the results of shard 0 are no obstacle
    for index, num in ((0, 2), (0, 1)):
        with pytest.raises(FileExistsError, match='--resume'):
            predict_shard(inferencer, study, out, index, num)
