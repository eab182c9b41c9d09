"""What a run records of its data and its config, in the work folder, in checkpoints and in test results."""
import json

import pytest
from run_helpers import small_config

from mmaffinity.apis import test_model, train_model
from mmaffinity.apis.inferencer import config_hash
from mmaffinity.datasets.verification import verify_config
from mmaffinity.utils.checkpoint import load_checkpoint


@pytest.fixture(scope='module')
def trained(tiny_phantom, repo_root, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1})
    train_model(config, work_dir=work_dir)
    return work_dir


@pytest.fixture(scope='module')
def listings(tiny_phantom, repo_root):
    """What verification says of the same data sets."""
    report = verify_config(small_config(repo_root, tiny_phantom / 'cncb_ncov'), read_files=False)
    return {row['name']: row['listing_sha256'] for row in report.datasets}


def test_training_records_its_data(trained, listings):
    record = json.loads((trained / 'data_fingerprint.json').read_text())
    for split, number in (('train', 2), ('val', 1)):
        assert len(record[split]['parts']) == number
        assert all(part['listing_sha256'] == listings[part['name']] for part in record[split]['parts'])
    assert record['earlier'] == []
    meta = load_checkpoint(trained / 'epoch_1.pth')['meta']
    assert meta['data_fingerprint'] == {split: record[split]['listing_sha256'] for split in ('train', 'val')}


def test_resuming_with_other_data_is_said(trained, tiny_phantom, repo_root, capfd):
    before = json.loads((trained / 'data_fingerprint.json').read_text())['train']['listing_sha256']
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov')
    config.train_dataloader.dataset.datasets[1].samples_per_class = 1
    train_model(config, work_dir=trained, resume=True)
    record = json.loads((trained / 'data_fingerprint.json').read_text())
    now = record['train']['listing_sha256']
    assert now != before and record['earlier'] == [before]
    said = ''.join(capfd.readouterr()) + ''.join(path.read_text() for path in trained.glob('*/*.log'))
    assert f'its fingerprint was {before} and is {now} now' in said


def test_testing_records_its_data(trained, listings, tiny_phantom, repo_root, tmp_path):
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov')
    # Of what was given: neither the checkpoint nor the folders of this run count.
    expected = config_hash(config)
    other = config_hash(small_config(repo_root, tiny_phantom / 'cncb_ncov', image_size=(96, 96)))
    test_model(config, trained / 'epoch_1.pth', work_dir=tmp_path, out=tmp_path / 'results.json')
    content = json.loads((tmp_path / 'results.json').read_text())
    assert content['schema'] == 2
    assert content['config_sha256'] == expected and content['config_sha256'] != other
    parts = content['data_fingerprint']['parts']
    assert [(part['task'], part['num']) for part in parts] == [('segmentation', 4), ('classification', 6)]
    assert all(part['listing_sha256'] == listings[part['name']] for part in parts)
