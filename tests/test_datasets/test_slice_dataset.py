import json
import pickle
import time
from collections import Counter

import numpy as np
import pytest
from mmdet.registry import DATASETS

import mmaffinity.datasets  # noqa: F401 (registers)

PIPELINE = [dict(type='LoadCTSlice'), dict(type='PackSliceInputs')]
CLASSES = ('Normal', 'CP', 'COVID-19')


def build(root, **options):
    return DATASETS.build(dict(type='SliceDataset', data_root=str(root), **{'ann_file': 'slices.json', **options}))


def write(root, rows, name='slices.json', **metainfo) -> None:
    (root / name).write_text(json.dumps(dict(metainfo=metainfo, data_list=rows)))


def rows(dataset) -> list[int]:
    return [dataset.get_data_info(i)['row'] for i in range(len(dataset))]


def test_entries(two_task_root):
    dataset = build(two_task_root, slice_classes=list(CLASSES))
    assert len(dataset) == 7 and dataset.task == 'classification'
    assert dataset.metainfo == dict(slice_classes=CLASSES)
    info = dataset.get_data_info(5)
    assert info == dict(
        img_path=str(two_task_root / 'image' / 'slice_5.png'),
        img_id=5,
        row=5,
        gt_slice_label=2,
        task='classification',
        patient_id='q5',
        scan_id='s',
        sample_idx=5,
        ann_file=str(two_task_root / 'slices.json'),
    )
    assert [dataset.get_cat_ids(i) for i in range(4)] == [[0], [1], [2], [0]]


def test_pipeline(two_task_root):
    packed = build(two_task_root, pipeline=PIPELINE)[4]
    assert packed['inputs'].unique().tolist() == [104]
    sample = packed['data_samples']
    assert sample.gt_slice.label.tolist() == [1] and sample.task == 'classification'
    assert (sample.patient_id, sample.scan_id, sample.img_id) == ('q4', 's', 4)


def test_optional_keys_and_prefix(tmp_path):
    write(tmp_path, [dict(img_path='a.png', label=1), dict(img_path='/elsewhere/b.png', label=0)], source='mine')
    dataset = build(tmp_path, slice_classes=('x', 'y'), data_prefix=dict(img='slices'))
    assert dataset.metainfo == dict(slice_classes=('x', 'y'), source='mine')
    info = dataset.get_data_info(0)
    assert info['img_path'] == str(tmp_path / 'slices' / 'a.png')
    assert info['patient_id'] is None and info['scan_id'] is None
    assert dataset.get_data_info(1)['img_path'] == '/elsewhere/b.png'


def test_classes_must_agree(two_task_root):
    for classes in (('CP', 'Normal', 'COVID-19'), ('Normal', 'COVID-19')):
        with pytest.raises(ValueError, match=r"slices\.json has the slice classes \('Normal', 'CP', 'COVID-19'\)"):
            build(two_task_root, slice_classes=classes)
    with pytest.raises(ValueError, match='has the slice classes'):
        build(two_task_root, metainfo=dict(slice_classes=['a', 'b', 'c']))
    for wrong in ('Normal', [], ['a', 'a'], [1, 2]):
        with pytest.raises(ValueError, match='list of distinct names'):
            build(two_task_root, slice_classes=wrong)


@pytest.mark.parametrize('label', [3, -1, '1', 1.0, True, None])
def test_label_out_of_range(tmp_path, label):
    write(tmp_path, [dict(img_path='a', label=0), dict(img_path='b', label=label)], slice_classes=CLASSES)
    with pytest.raises(ValueError, match=r'row 1 of .*slices\.json has the label .* labels are 0 to 2: Normal, CP'):
        build(tmp_path)


@pytest.mark.parametrize(
    'content, match',
    [
        (dict(metainfo=dict(slice_classes=CLASSES)), 'no list "data_list"'),
        (dict(metainfo=dict(slice_classes=CLASSES), data_list=[1]), 'no list "data_list" of objects'),
        (dict(metainfo=dict(slice_classes=CLASSES), data_list=[]), 'lists no slice'),
        (dict(metainfo=dict(slice_classes=CLASSES), data_list=[dict(label=0)]), 'row 0 .* must have an "img_path"'),
        (dict(metainfo=dict(slice_classes=CLASSES), data_list=[dict(img_path='a')]), 'row 0 .* a "label"'),
        (dict(metainfo=dict(slice_classes='Normal'), data_list=[]), 'metainfo of .*slices.json: slice classes'),
        (dict(data_list=[dict(img_path='a', label=0)]), 'does not name its classes'),
    ],
)
def test_broken_files(tmp_path, content, match):
    (tmp_path / 'slices.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=match):
        build(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'slice list not found: .*slices\.json.*docs/data\.md'):
        build(tmp_path)


def test_samples_per_class(tmp_path):
    labels = np.random.RandomState(0).choice(3, 300, p=[0.6, 0.3, 0.1])
    write(tmp_path, [dict(img_path=f'{i}.png', label=int(label)) for i, label in enumerate(labels)], slice_classes=CLASSES)
    subset = build(tmp_path, samples_per_class=20, seed=3)
    chosen = rows(subset)
    assert Counter(labels[chosen]) == {0: 20, 1: 20, 2: 20}
    assert chosen == sorted(set(chosen))
    assert chosen == rows(build(tmp_path, samples_per_class=20, seed=3))
    assert chosen != rows(build(tmp_path, samples_per_class=20, seed=4))
    assert subset.get_data_info(7)['img_id'] == chosen[7]
    assert chosen[:6] == [2, 6, 12, 21, 27, 30]  # frozen: a cited subset must not change
    with pytest.raises(ValueError, match=f'=200, .* only {(labels == 0).sum()} slices of class Normal'):
        build(tmp_path, samples_per_class=200)
    with pytest.raises(ValueError, match='samples_per_class=0'):
        build(tmp_path, samples_per_class=0)


def test_lazy_init(tmp_path):
    dataset = build(tmp_path, lazy_init=True, slice_classes=CLASSES)  # the file does not exist
    assert dataset.metainfo['slice_classes'] == CLASSES
    with pytest.raises(FileNotFoundError):
        dataset.full_init()


def test_subsets_and_pickling(two_task_root):
    dataset = build(two_task_root, pipeline=PIPELINE)
    assert rows(dataset.get_subset([6, 0])) == [6, 0]
    assert rows(build(two_task_root, indices=2)) == [0, 1]
    assert rows(pickle.loads(pickle.dumps(dataset))) == list(range(7))
    assert rows(build(two_task_root, serialize_data=False)) == list(range(7))


def test_100_000_rows(tmp_path):
    write(
        tmp_path,
        [
            dict(img_path=f'NCP/{i // 200}/{i // 50}/{i:04d}.png', label=i % 3, patient_id=str(i // 200), scan_id=str(i // 50))
            for i in range(100_000)
        ],
        slice_classes=CLASSES,
    )
    started = time.process_time()  # of this process, so that a busy machine does not fail the test
    dataset = build(tmp_path)
    assert time.process_time() - started < 5  # seconds; typically 1
    assert len(dataset) == 100_000 and dataset.get_data_info(99_999)['row'] == 99_999


def test_broken_image_names_its_row(two_task_root):
    dataset = build(two_task_root, pipeline=PIPELINE)
    (two_task_root / 'image' / 'slice_6.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'slice_6\.png \(row 6 of .*slices\.json\)'):
        dataset[6]


def test_body_box(tmp_path):
    write(
        tmp_path,
        [
            dict(img_path='a.png', label=0, body_box=[0, 2, 9, 7], source='CNCB'),
            dict(img_path='b.png', label=0),
            dict(img_path='c.png', label=0, body_box=None),
        ],
        slice_classes=['x'],
    )
    infos = [build(tmp_path).get_data_info(index) for index in range(3)]
    assert infos[0]['body_box'] == (0, 2, 9, 7) and 'source' not in infos[0]
    assert 'body_box' not in infos[1] and 'body_box' not in infos[2]


@pytest.mark.parametrize(
    'box', [[0, 2, 9], [0, 2, 9, 7.0], [0, 2, 9, True], '0 2 9 7', [0, 2, 0, 7], [0, 7, 9, 7], [-1, 2, 9, 7], dict(xmin=0), 0]
)
def test_invalid_body_box(tmp_path, box):
    write(tmp_path, [dict(img_path='a.png', label=0), dict(img_path='b.png', label=0, body_box=box)], slice_classes=['x'])
    with pytest.raises(ValueError, match=r'row 1 of .*slices.json has the body_box .*, which must be \[xmin, ymin,'):
        build(tmp_path)
