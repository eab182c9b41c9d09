"""Fingerprints of the files' bytes and of their listing."""

import hashlib
import json
import os
import shutil

from mmdet.registry import DATASETS

from mmaffinity.datasets.verification.fingerprints import record_of


def prints(bench):
    rows = bench.verify().datasets
    return {row['name'].split(' ', 1)[0] + ' ' + row['task']: (row['content_sha256'], row['listing_sha256']) for row in rows}


def test_written_out(bench):
    """Both fingerprints, computed only from the list and the files."""
    bench.config()
    rows = json.loads((bench.root / 'annotations/slices_val.json').read_text())['data_list']

    def expected(kind, value):
        lines = [json.dumps([kind, 1, 'classification', ['Normal', 'COVID-19']])]
        lines += sorted(
            json.dumps(
                [row['img_path'], value(bench.root / row['img_path']), hashlib.sha256(str(row['label']).encode()).hexdigest()]
            )
            for row in rows
        )
        return hashlib.sha256('\n'.join(lines).encode()).hexdigest()

    content, listing = prints(bench)['val classification']
    assert content == expected('content', lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    assert listing == expected('listing', lambda path: path.stat().st_size)


def test_each_change_affects_the_right_fingerprint(bench):
    before = prints(bench)
    key = 'train classification'
    # One byte changes but not the size, which only reading the files reveals.
    path = bench.root / 'slices/train_0.png'
    content = path.read_bytes()
    image = bench.read('slices/train_0.png')
    end = content.index(b'IEND') - 4
    path.write_bytes(content[:end] + b'\0\0\0\1tEXt' + b'x' + b'\0\0\0\0' + content[end:])
    grown = prints(bench)
    assert grown[key][0] != before[key][0] and grown[key][1] != before[key][1]
    path.write_bytes(content[:end] + b'\0\0\0\1tEXt' + b'y' + b'\0\0\0\0' + content[end:])
    assert prints(bench)[key][0] != grown[key][0] and prints(bench)[key][1] == grown[key][1]
    path.write_bytes(content)
    assert (bench.read('slices/train_0.png') == image).all() and prints(bench) == before
    # A label.
    bench.slices['train'][0]['label'] = 1
    changed = prints(bench)
    assert changed[key][0] != before[key][0] and changed[key][1] != before[key][1]
    assert {name for name in before if changed[name] != before[name]} == {key}
    bench.slices['train'][0]['label'] = 0
    # A body box.
    bench.slices['train'][0]['body_box'] = [0, 0, 40, 40]
    boxed = prints(bench)
    assert {name for name in before if boxed[name] != before[name]} == {key}
    bench.slices['train'][0]['body_box'] = [0, 0, 40, 41]
    assert all(a != b for a, b in zip(prints(bench)[key], boxed[key]))
    bench.slices['train'][0]['body_box'] = None  # equivalent to no box
    assert prints(bench) == before
    # A lesion's box.
    bench.lesions['test']['annotations'][0]['bbox'][0] += 1
    changed = prints(bench)
    assert {name for name in before if changed[name] != before[name]} == {'test segmentation'}
    assert all(a != b for a, b in zip(changed['test segmentation'], before['test segmentation']))


def test_fingerprints_do_not_depend_on_location_order_or_time(bench, tmp_path):
    before = prints(bench)
    bench.slices['val'].reverse()
    os.utime(bench.root / 'slices/val_0.png')
    shutil.move(bench.root, tmp_path / 'moved')
    bench.root = tmp_path / 'moved'
    assert prints(bench) == before


def test_record_of_a_run(bench):
    config = bench.config()
    record = record_of(
        DATASETS.build(
            dict(
                config.test_dataloader.dataset,
                datasets=[dict(part, pipeline=[]) for part in config.test_dataloader.dataset.datasets],
            )
        ),
        'test',
    )
    before = prints(bench)
    for place, key in enumerate(('content_sha256', 'listing_sha256')):
        assert [part[key] for part in record['parts']] == [
            before['test segmentation'][place],
            before['test classification'][place],
        ]
        both = '\n'.join(sorted(part[key] for part in record['parts']))
        assert record[key] == hashlib.sha256(both.encode()).hexdigest()
    assert [part['num'] for part in record['parts']] == [2, 4] and record['schema'] == 2


def test_data_set_without_paths_does_not_stop_a_run():
    class Drawn:
        def __len__(self):
            return 3

    record = record_of(Drawn(), 'train')
    assert record['listing_sha256'] is None and record['parts'][0] == dict(
        name='train (Drawn)', task=None, num=3, content_sha256=None, listing_sha256=None
    )


def test_a_record_with_a_missing_file_or_without_reading(bench):
    """Other files keep their fingerprints; nothing is raised, because the run itself reports missing files."""
    part = dict(bench.config().test_dataloader.dataset.datasets[1], pipeline=[])
    listing = record_of(DATASETS.build(part), 'test', read_files=False)
    assert listing['content_sha256'] is None
    assert listing['parts'][0]['listing_sha256'] == prints(bench)['test classification'][1]
    dataset = DATASETS.build(part)
    os.remove(dataset.get_data_info(0)['img_path'])
    record = record_of(dataset, 'test')
    assert record['content_sha256'] is None and record['listing_sha256'] not in (None, listing['listing_sha256'])
