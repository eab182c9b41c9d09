"""Records of data and config in work directory, checkpoints and test results."""

import json
import logging
import shutil
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from run_helpers import small_config

from mmaffinity.apis import data_record, test_model, train_model
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.datasets.verification import verify_config
from mmaffinity.utils.config import load_config
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.provenance import config_hash

KEYS = ('content_sha256', 'listing_sha256')


@pytest.fixture(scope='module')
def trained(tiny_phantom, repo_root, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1})
    train_model(config, work_dir=work_dir)
    return work_dir


@pytest.fixture(scope='module')
def listings(tiny_phantom, repo_root):
    """Fingerprints of the same data sets from verification."""
    report = verify_config(small_config(repo_root, tiny_phantom / 'cncb_ncov'), workers=0)
    return {row['name']: {key: row[key] for key in KEYS} for row in report.datasets}


def fingerprints(part):
    return {key: part[key] for key in KEYS}


def test_training_records_its_data(trained, listings):
    record = json.loads((trained / 'data_fingerprint.json').read_text())
    for split, number in (('train', 2), ('val', 1)):
        assert len(record[split]['parts']) == number
        assert all(fingerprints(part) == listings[part['name']] for part in record[split]['parts'])
    assert record['earlier'] == [] and record['config'] == 'affinity_c8_phantom'
    meta = load_checkpoint(trained / 'epoch_1.pth')['meta']
    assert meta['data_fingerprint'] == {split: fingerprints(record[split]) for split in ('train', 'val')}
    assert all(meta['data_fingerprint']['train'].values())


def test_training_on_a_phantom_is_recorded_in_checkpoints(trained):
    assert load_checkpoint(trained / 'epoch_1.pth')['meta']['synthetic_data'] is True


def test_training_on_other_data_is_not_called_synthetic(tiny_phantom, repo_root, tmp_path):
    shutil.copytree(tiny_phantom / 'cncb_ncov', tmp_path / 'mine')
    train_model(small_config(repo_root, tmp_path / 'mine', **{'train_cfg.max_epochs': 1}), work_dir=tmp_path / 'work')
    assert 'synthetic_data' not in load_checkpoint(tmp_path / 'work/epoch_1.pth')['meta']


def test_work_folder_with_a_run_of_another_config_is_rejected(trained):
    """The default work directory of a config is named by its file alone."""
    before = sorted(trained.rglob('*'))
    words = 'contains a run of the config affinity_c8_phantom, not of published/affinity_c8: choose another folder with --work-'
    for resume in (False, True):
        with pytest.raises(ValueError, match=f'{trained} {words}'):
            train_model(load_config('published/affinity_c8'), work_dir=trained, resume=resume)
    assert sorted(trained.rglob('*')) == before


@pytest.mark.parametrize(
    'path, name',
    [
        ('run/mine.py', 'my/mine'),
        ('run/20260101_000000/vis_data/config.py', 'my/mine'),
        ('configs/my/mine.py', 'my/mine'),
        (None, 'my/mine'),
        ('run/other.py', None),
        ('run/more/mine.py', None),
        ('mine.py', None),
    ],
)
def test_copies_of_a_config_in_its_work_folder_continue_the_run(tmp_path, path, name):
    """MMEngine writes them; None as the name means that the config is another."""
    work_dir = tmp_path / 'run'
    write_json_atomic(work_dir / data_record.FILE, dict(config='my/mine'))
    config = Config(dict(work_dir=str(work_dir)), '# text', path and str(tmp_path / path))
    if name is None:
        with pytest.raises(ValueError, match='contains a run of the config my/mine, not of .*change "config" in .*'):
            data_record.name_of_run(config)
    else:
        assert data_record.name_of_run(config) == name


@pytest.mark.parametrize('content', ['', '[]', '"text"', '{}', '{"config": null}', '{"config": ["a"]}', '\xff'])
def test_a_record_without_a_config_fits_every_config(tmp_path, content):
    """Earlier versions recorded none."""
    (tmp_path / data_record.FILE).write_text(content, encoding='latin-1')
    config = Config(dict(work_dir=str(tmp_path)), '# text', str(tmp_path / 'mine.py'))
    assert data_record.name_of_run(config) == 'mine'


def test_resuming_with_other_data_is_reported(trained, tiny_phantom, repo_root, capfd):
    before = json.loads((trained / 'data_fingerprint.json').read_text())['train']['content_sha256']
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov')
    config.train_dataloader.dataset.datasets[1].samples_per_class = 1
    train_model(config, work_dir=trained, resume=True)
    record = json.loads((trained / 'data_fingerprint.json').read_text())
    now = record['train']['content_sha256']
    assert now != before and record['earlier'] == [before]
    said = ''.join(capfd.readouterr()) + ''.join(path.read_text() for path in trained.glob('*/*.log'))
    assert f'its fingerprint was {before} and is now {now}' in said


def test_testing_records_its_data(trained, listings, tiny_phantom, repo_root, tmp_path):
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov')
    # Only what was given counts, not the checkpoint or the folders of this run.
    expected = config_hash(config)
    other = config_hash(small_config(repo_root, tiny_phantom / 'cncb_ncov', image_size=(96, 96)))
    test_model(config, trained / 'epoch_1.pth', work_dir=tmp_path, out=tmp_path / 'results.json')
    content = json.loads((tmp_path / 'results.json').read_text())
    assert content['schema'] == 2
    assert content['config_sha256'] == expected and content['config_sha256'] != other
    parts = content['data_fingerprint']['parts']
    assert [(part['task'], part['num']) for part in parts] == [('segmentation', 4), ('classification', 6)]
    assert all(fingerprints(part) == listings[part['name']] for part in parts)


@pytest.mark.parametrize(
    'earlier, said',
    [
        (dict(listing_sha256='a', content_sha256='other'), True),
        (dict(listing_sha256='other', content_sha256='b'), True),
        (dict(listing_sha256='a', content_sha256='b'), False),
        (dict(listing_sha256='a', content_sha256=None), False),  # files were not read then
        (dict(listing_sha256='a'), False),  # by an older version
    ],
)
def test_changed_content_counts_as_other_data(earlier, said, tmp_path, monkeypatch, caplog):
    """A slice changed without changing its size is other data; files that were not read are not."""
    write_json_atomic(tmp_path / data_record.FILE, dict(train=earlier, earlier=[]))
    monkeypatch.setattr(data_record, 'record_of', lambda *args: dict(listing_sha256='a', content_sha256='b'))
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=None),
        val_loop=None,
        work_dir=tmp_path,
        _resume=True,
        logger=logging.getLogger('records'),
    )
    data_record.DataRecordHook().before_train(runner)
    assert ('the training data has changed since this run started' in caplog.text) == said
    content = json.loads((tmp_path / data_record.FILE).read_text())
    assert content['earlier'] == ([earlier.get('content_sha256') or 'a'] if said else [])


def test_recording_works_without_reading_files(trained, tiny_phantom, repo_root, tmp_path):
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', hash_files=False)
    test_model(config, trained / 'epoch_1.pth', work_dir=tmp_path, out=tmp_path / 'results.json')
    record = json.loads((tmp_path / 'results.json').read_text())['data_fingerprint']
    assert record['content_sha256'] is None and record['listing_sha256']
