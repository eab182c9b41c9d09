"""Cross-validation over the patients of lists, of both tasks together."""

import json
from collections import Counter
from itertools import combinations

import pytest

from mmaffinity.datasets.lesion_dataset import LesionDataset
from mmaffinity.datasets.slice_dataset import SliceDataset
from mmaffinity.datasets.verification import verify_config
from mmaffinity.utils.config import load_config

CLASSES = ['Normal', 'COVID-19']


@pytest.fixture
def root(tmp_path):
    """Twenty patients with two labelled slices each; half of them, and one more, have lesion slices."""
    folder = tmp_path / 'data' / 'annotations'
    folder.mkdir(parents=True)
    rows = [
        dict(img_path=f'{patient}/{number}.png', label=int(patient >= 8), patient_id=f'p{patient}', scan_id=None)
        for patient in range(20)
        for number in range(2)
    ]
    (folder / 'slices.json').write_text(json.dumps(dict(metainfo=dict(slice_classes=CLASSES), data_list=rows)))
    patients = [*range(10, 20), 99]
    images = [
        dict(id=number, file_name=f'lesions/{patient}.png', width=64, height=64, patient_id=f'p{patient}')
        for number, patient in enumerate(patients)
    ]
    boxes = [
        dict(
            id=number,
            image_id=number,
            category_id=1,
            bbox=[8, 8, 16, 16],
            area=256,
            iscrowd=0,
            segmentation=[[8, 8, 24, 8, 24, 24, 8, 24]],
        )
        for number in range(8)
    ]
    (folder / 'lesions.json').write_text(
        json.dumps(dict(images=images, annotations=boxes, categories=[dict(id=1, name='lesion')]))
    )
    return tmp_path / 'data'


def config_text(root):
    part = "dict(type={!r}, data_root='${{data_root}}', ann_file={!r}, pipeline=[], **more)"
    both = '[{}, {}]'.format(
        part.format('LesionDataset', 'annotations/lesions.json'), part.format('SliceDataset', 'annotations/slices.json')
    )
    return f"""
data_root = {str(root)!r}
model = dict()
train_dataloader = dict(dataset=dict(type='MultiTaskDataset', datasets=[{both[1:-1].replace(', **more', '')}]))
val_dataloader = dict(dataset=dict(type='SliceDataset', ann_file='annotations/slices.json', test_mode=True, pipeline=[]))
val_evaluator = val_cfg = dict()
test_dataloader = dict(dataset=dict(type='MultiTaskDataset', datasets=[
    {both[1:-1].replace('**more', 'test_mode=True')}]))
"""


@pytest.fixture
def config(root, tmp_path):
    path = tmp_path / 'study.py'
    path.write_text(config_text(root))
    return path


def datasets(config, fold, folds=4):
    cfg = load_config(config, dict(folds=folds, fold=fold))
    kinds = dict(LesionDataset=LesionDataset, SliceDataset=SliceDataset)
    return {
        loader: [kinds[part.pop('type')](**part) for part in cfg[f'{loader}_dataloader'].to_dict()['dataset']['datasets']]
        for loader in ('train', 'test')
    }


def patients(dataset):
    return {dataset.get_data_info(index)['patient_id'] for index in range(len(dataset))}


def paths(dataset):
    return {dataset.get_data_info(index)['img_path'] for index in range(len(dataset))}


def test_every_slice_is_tested_once_and_no_patient_is_shared(config):
    found = [datasets(config, fold) for fold in range(4)]
    for task in (0, 1):
        tested = [paths(fold['test'][task]) for fold in found]
        assert not any(one & other for one, other in combinations(tested, 2))
        for fold in found:
            assert not paths(fold['train'][task]) & paths(fold['test'][task])
            assert len(paths(fold['train'][task]) | paths(fold['test'][task])) == len(set().union(*tested)) == (11, 40)[task]
    for fold in found:
        assert not set().union(*map(patients, fold['train'])) & set().union(*map(patients, fold['test']))


def test_classes_are_balanced_across_folds(config):
    for fold in range(4):
        slices = datasets(config, fold)['test'][1]
        labels = Counter(slices.get_data_info(index)['gt_slice_label'] for index in range(len(slices)))
        assert labels == {0: 4, 1: 6}  # two and three patients of two slices


def test_the_division_does_not_depend_on_the_order_of_a_list(root, config):
    before = [paths(datasets(config, fold)['test'][1]) for fold in range(4)]
    path = root / 'annotations/slices.json'
    content = json.loads(path.read_text())
    content['data_list'].reverse()
    path.write_text(json.dumps(content))
    assert [paths(datasets(config, fold)['test'][1]) for fold in range(4)] == before


def test_leakage_check_passes_only_with_common_folds(config, root):
    cfg = load_config(config, dict(folds=4, fold=1))
    assert cfg.val_dataloader is None and cfg.val_cfg is None
    report = verify_config(cfg, read_files=False)
    assert not {'shared-patients', 'shared-slices'} & {finding.check for finding in report.findings}
    cfg.test_dataloader.dataset.datasets[0].fold_lists = [f'{root}/annotations/lesions.json']
    cfg.test_dataloader.dataset.datasets[0].fold = 0
    report = verify_config(cfg, read_files=False)
    assert 'shared-patients' in {finding.check for finding in report.findings} and not report.passed


def test_unknown_patients_and_too_many_folds(root):
    list_of = dict(data_root=str(root), ann_file='annotations/slices.json', pipeline=[])
    with pytest.raises(ValueError, match='20 patients are too few for 21 folds'):
        SliceDataset(**list_of, folds=21)
    for arguments in (dict(folds=1), dict(folds=3, fold=3), dict(folds=3, fold=-1)):
        with pytest.raises(ValueError, match='folds must be at least 2, and fold must be'):
            SliceDataset(**list_of, **arguments)
        with pytest.raises(ValueError, match='folds must be at least 2, and fold must be'):
            LesionDataset(data_root=str(root), ann_file='annotations/lesions.json', pipeline=[], **arguments)
    path = root / 'annotations/slices.json'
    content = json.loads(path.read_text())
    del content['data_list'][3]['patient_id']
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'slices.json cannot be split into folds: 1 slice has no patient_id \(.*1/1.png\)'):
        SliceDataset(**list_of, folds=3)
