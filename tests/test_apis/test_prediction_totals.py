"""Files that cover all scans, of one process or of shards."""

import json

import pytest
from scan_helpers import failing, predict_shard, write_images

from mmaffinity.apis import scan_writer
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.apis.prediction_totals import merge_shards


def read(path):
    return json.loads(path.read_text())


def test_run_without_predictions_fails_with_a_report(tmp_path, inferencer):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'a.png').touch()
    with pytest.raises(ValueError, match=r'nothing could be predicted: in/a.png: is empty .*again\. The reasons are also in '):
        predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out')
    assert len(read(tmp_path / 'out' / 'report.json')['not_predicted']) == 1


def test_three_reasons_are_listed_and_the_rest_counted(tmp_path, inferencer):
    (tmp_path / 'in').mkdir()
    for name in 'abcde':
        (tmp_path / 'in' / name).touch()
    with pytest.raises(ValueError, match=r'nothing could be predicted: in/a: .*; in/b: .*; in/c: .*; and 2 more\. '):
        predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out')


def test_unwritable_report_is_an_error(tmp_path, two_scans, inferencer, monkeypatch):
    write = scan_writer.OutputFolder.write
    monkeypatch.setattr(
        scan_writer.OutputFolder,
        'write',
        failing(write, OSError(28, 'No space left on device'), lambda out, *parts: parts == ('report.json',)),
    )
    with pytest.raises(
        ValueError, match=r'report.json cannot be written: OSError: .*No space left .*; fix this, and continue with --resume'
    ):
        predict_to_folder(inferencer, two_scans, tmp_path / 'out', overlays='none')


@pytest.mark.slow
def test_unrelated_shards_are_not_merged(tmp_path, study, inferencer):
    out = tmp_path / 'out'
    with pytest.raises(FileNotFoundError, match='folder .* does not exist'):
        merge_shards(out)
    out.mkdir()
    with pytest.raises(ValueError, match='contains no shard report'):
        merge_shards(out)
    predict_shard(inferencer, study, out, 0, 2)
    with pytest.raises(ValueError, match=r'1 shard of 2 did not finish \(1\): run it again'):
        merge_shards(out)
    write_images(study / 'new', 1)
    predict_shard(inferencer, study, out, 1, 2)
    with pytest.raises(ValueError, match='different scans: .*--resume if scans were added'):
        merge_shards(out)
    predict_shard(inferencer, study, out, 0, 2, resume=True)
    assert len(merge_shards(out).scans) == 7
    path = out / 'report.shard-1-of-2.json'
    text = path.read_text()
    for entry in ('"precision": "bfloat16"', '"fallback_sha256": "0"', '"fallback_margin": 0.5'):
        path.write_text(text.replace('"checkpoint_sha256"', f'{entry}, "checkpoint_sha256"'))
        with pytest.raises(ValueError, match='different model'):
            merge_shards(out)
    path.write_text(text.replace('"score_thr": 0.3', '"score_thr": 0.4'))
    with pytest.raises(ValueError, match='different settings'):
        merge_shards(out)
    path.write_text('{')
    with pytest.raises(ValueError, match='is damaged'):
        merge_shards(out)


def test_shards_of_other_package_versions_are_merged_with_a_warning(tmp_path, two_scans, inferencer):
    out = tmp_path / 'out'
    for index in range(2):
        predict_shard(inferencer, two_scans, out, index, 2)
    path = out / 'report.shard-1-of-2.json'
    content = read(path)
    content['versions']['numpy'] = '0.1'
    path.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match='shard-1-of-2.json was computed with other package versions than .*0-of-2'):
        assert [scan.name for scan in merge_shards(out).scans] == ['in/a', 'in/b']
