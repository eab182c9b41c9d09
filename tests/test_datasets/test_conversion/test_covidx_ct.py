"""COVIDx-CT as downloaded: versions, layouts, patients, sources, leakage."""

import json
import shutil

import cv2
import numpy as np
import pytest
from conversion_helpers import COVIDX_ROWS, write_covidx_ct
from mmdet.registry import DATASETS
from phantom_helpers import FEW

from mmaffinity.datasets.conversion import convert_covidx_ct
from mmaffinity.datasets.phantom.writer import write_phantom
from mmaffinity.utils.config import load_config


@pytest.fixture
def root(tmp_path):
    root = tmp_path / 'covidx'
    write_covidx_ct(root)
    return root


def read(root, name):
    return json.loads((root / 'annotations' / name).read_text())


def test_output_files(root):
    summary = convert_covidx_ct(root, workers=1)
    assert [path.stem for path in summary.files] == ['slices_train', 'slices_val', 'slices_test', 'statistics']
    assert summary.warnings == []
    train = read(root, 'slices_train.json')
    assert train['metainfo'] == dict(
        dataset='COVIDx-CT 3A', slice_classes=['Normal', 'CP', 'COVID-19'], source='train_COVIDx_CT-3A.txt'
    )
    assert train['data_list'][0] == dict(
        img_path='3A_images/NCP_1_10_0001.png',
        label=2,
        patient_id='NCP_1',
        scan_id='NCP_1_10',
        source='CNCB',
        body_box=[1, 2, 20, 15],
    )
    assert [row['label'] for row in read(root, 'slices_val.json')['data_list']] == [1, 0]
    pixels = np.stack([cv2.imread(str(root / row['img_path']), cv2.IMREAD_GRAYSCALE) for row in train['data_list']])
    assert read(root, 'statistics.json') == dict(
        mean=pytest.approx(pixels.mean() / 255), std=pytest.approx(pixels.std() / 255), num_slices=3, source='slices_train.json'
    )
    assert summary.sources == [
        dict(split='slices_train', source='CNCB', slices=2, patients=2),
        dict(split='slices_train', source='STOIC', slices=1, patients=1),
        dict(split='slices_val', source='COVID-CT-MD', slices=2, patients=2),
        dict(split='slices_test', source='COVID-19-CT-Seg', slices=1, patients=1),
    ]
    before = {path.name: path.read_bytes() for path in (root / 'annotations').iterdir()}
    convert_covidx_ct(root, workers=2)
    assert {path.name: path.read_bytes() for path in (root / 'annotations').iterdir()} == before


@pytest.mark.parametrize('version, images', [('1', 'COVIDx-CT'), ('1', ''), ('2A', 'archive/2A_images'), ('2B', '2B_images')])
def test_every_version_and_folder(tmp_path, version, images):
    write_covidx_ct(tmp_path, version, images)
    summary = convert_covidx_ct(tmp_path, skip_statistics=True)
    assert summary.dataset == f'COVIDx-CT {version}'
    for row in read(tmp_path, 'slices_train.json')['data_list']:
        assert (tmp_path / row['img_path']).is_file() and row['img_path'].count('/') == (images + '/').lstrip('/').count('/')


def test_variant_b_shares_lists_with_a(root):
    """3B adds a training list to those of 3A, so the variant must be given."""
    lines = [*COVIDX_ROWS['train'], 'study_0306-0017.png 2 0 0 20 16']
    (root / 'train_COVIDx_CT-3B.txt').write_text('\n'.join(lines))
    with pytest.raises(ValueError, match='train lists of the versions 3A and 3B; choose one with --list-version'):
        convert_covidx_ct(root)
    with pytest.raises(
        FileNotFoundError,
        match=r'1 file is missing under .*\(1 for 4 slices from .*3B.txt\): '
        'study_0306-0017.png; download .* variant B has MosMedData slices that are not on Kaggle',
    ):
        convert_covidx_ct(root, list_version='3B')
    assert not (root / 'annotations').exists()
    extra = root / 'mosmed'
    extra.mkdir()
    shutil.copy(root / '3A_images' / 'STOIC-5-0010.png', extra / 'study_0306-0017.png')
    summary = convert_covidx_ct(root, list_version='3B', skip_statistics=True)
    assert read(root, 'slices_train.json')['data_list'][3]['img_path'] == 'mosmed/study_0306-0017.png'
    assert read(root, 'slices_val.json')['metainfo']['source'] == 'val_COVIDx_CT-3A.txt'
    assert summary.warnings == ['metadata.csv lacks 1 patient (study_0306): check that it is of this version']


def test_images_of_the_version_take_precedence(root):
    write_covidx_ct(root, images='1_images')
    convert_covidx_ct(root, skip_statistics=True)
    assert read(root, 'slices_test.json')['data_list'][0]['img_path'] == '3A_images/coronacases_007-0078.png'
    convert_covidx_ct(root, image_folders=['1_images'], skip_statistics=True)
    assert read(root, 'slices_test.json')['data_list'][0]['img_path'] == '1_images/coronacases_007-0078.png'
    convert_covidx_ct(root, image_folders=[root / '1_images'], skip_statistics=True)
    assert read(root, 'slices_test.json')['data_list'][0]['img_path'] == '1_images/coronacases_007-0078.png'
    with pytest.raises(FileNotFoundError, match='the image folder 2A_images does not exist; correct --images'):
        convert_covidx_ct(root, image_folders=['2A_images'])
    with pytest.raises(ValueError, match='is outside the data root'):
        convert_covidx_ct(root, image_folders=[root.parent])


def test_lists_in_another_folder_and_single_splits(root, tmp_path):
    lists = tmp_path / 'lists'
    lists.mkdir()
    for path in (*root.glob('*.txt'), root / 'metadata.csv'):
        path.rename(lists / path.name)
    with pytest.raises(FileNotFoundError, match=r'no list train_COVIDx_CT-\*.txt in .*covidx or .*lists; .*--splits val test'):
        convert_covidx_ct(root)
    assert convert_covidx_ct(root, list_folders=[lists], skip_statistics=True).warnings == []
    shutil.rmtree(root / 'annotations')
    (lists / 'train_COVIDx_CT-3A.txt').unlink()
    summary = convert_covidx_ct(root, list_folders=[lists], splits=['test', 'val'])
    assert [path.name for path in summary.files] == ['slices_val.json', 'slices_test.json']
    mine = (lists / 'test_COVIDx_CT-3A.txt').rename(tmp_path / 'mine.txt')
    with pytest.raises(ValueError, match='the name of .*mine.txt does not contain its version, .*--list-version'):
        convert_covidx_ct(root, lists=dict(test=mine), splits=['test'])
    convert_covidx_ct(root, lists=dict(test=mine), splits=['test'], list_version='3A')
    assert read(root, 'slices_test.json')['metainfo']['source'] == 'mine.txt'


@pytest.mark.parametrize(
    'options, error, message',
    [
        (dict(splits=['dev']), ValueError, r"cannot convert the splits \['dev'\]; choose from train, val, test"),
        (dict(splits=[]), ValueError, 'choose from train, val, test'),
        (dict(list_version='3C'), ValueError, "no COVIDx-CT version '3C'; choose from 1, 2A, 2B, 3A, 3B"),
        (
            dict(list_version='2A'),
            FileNotFoundError,
            'the list train_COVIDx_CT-2A.txt is not in .*; get it from https://www.kaggle.com',
        ),
        (dict(metadata='nowhere.csv'), FileNotFoundError, 'nowhere.csv does not exist'),
        (dict(workers=0), ValueError, 'the number of workers is 0'),
    ],
)
def test_invalid_options(root, options, error, message):
    with pytest.raises(error, match=message):
        convert_covidx_ct(root, **options)
    assert not (root / 'annotations').exists()


def test_missing_data_root(tmp_path):
    with pytest.raises(FileNotFoundError, match='the data root .*nowhere is not a folder; download the version of these lists'):
        convert_covidx_ct(tmp_path / 'nowhere')


def test_missing_slices_are_counted_per_list(root):
    for name in ('NCP_1_10_0001', 'CP_3_30_0000', 'coronacases_007-0078'):
        (root / '3A_images' / f'{name}.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'3 files are missing .*\(2 for 3 slices from .*train.*, 1 for 1 slice'):
        convert_covidx_ct(root)
    convert_covidx_ct(root, check_files=False, skip_statistics=True)
    assert read(root, 'slices_test.json')['data_list'][0]['img_path'] == '3A_images/coronacases_007-0078.png'


def test_a_patient_in_two_lists_is_reported(root):
    """Two series of one person count: TCIA's _0 and _1, two studies of a Radiopaedia case."""
    write_covidx_ct(
        root,
        train=[*COVIDX_ROWS['train'], 'volume-covid19-A-0383_0-0120.png 2', 'radiopaedia_29_86490_1-0005.png 2'],
        val=[*COVIDX_ROWS['val'], 'NCP_1_11_0002.png 2'],
        test=['volume-covid19-A-0383_1_ct-0018.png 2', 'radiopaedia_29_86491_1-0004.png 2'],
    )
    (root / 'metadata.csv').unlink()
    assert [text.partition(': ')[0] for text in convert_covidx_ct(root, skip_statistics=True).warnings] == [
        '1 patient is in both slices_train and slices_val (NCP_1)',
        '2 patients are in both slices_train and slices_test (radiopaedia_29, volume-covid19-A-0383)',
    ]
    assert 'body_box' not in read(root, 'slices_test.json')['data_list'][0]


def test_unknown_names_are_looked_up_in_the_metadata(root):
    write_covidx_ct(
        root, train=[*COVIDX_ROWS['train'], 'clinic-7-0001.png 0', 'mri.png 1'], val=[*COVIDX_ROWS['val'], 'mri.png 1']
    )
    with open(root / 'metadata.csv', 'a') as file:
        file.write('clinic-7,Clinic,,,,Normal,Yes,N/A,Axial,CT\n')
    summary = convert_covidx_ct(root, skip_statistics=True)
    rows = read(root, 'slices_train.json')['data_list'][3:]
    found = [(row['patient_id'], row['scan_id'], row['source']) for row in rows]
    assert found == [('clinic-7', None, 'Clinic'), (None, None, None)]
    assert summary.warnings == [
        '2 slices have a name that matches no known source (mri, mri): their patients are unknown, and leakage '
        'between lists cannot be ruled out',
        '1 slice is in both slices_train and slices_val (3A_images/mri.png)',
    ]
    assert dict(split='slices_train', source=None, slices=1, patients=None) in summary.sources
    assert any(line.split() == ['slices_val', 'unknown', '1', 'unknown'] for line in summary.table().splitlines())


def test_metadata_that_contradicts_the_lists(root):
    text = (root / 'metadata.csv').read_text()
    (root / 'metadata.csv').write_text(
        text.replace('STOIC-5,STOIC,,,,COVID-19', 'STOIC-5,STOIC,,,,Normal')
        .replace('CP_3,CNCB', 'CP_3,LIDC-IDRI')
        .replace('coronacases_007,', 'coronacases_008,')
    )
    assert convert_covidx_ct(root, skip_statistics=True).warnings == [
        'metadata.csv lacks 1 patient (coronacases_007): check that it is of this version',
        'metadata.csv disagrees with the lists on the finding or source of 2 patients (STOIC-5, CP_3): using the lists',
    ]


def test_broken_list_keeps_the_last_result(root):
    convert_covidx_ct(root)
    before = (root / 'annotations' / 'slices_train.json').read_bytes()
    write_covidx_ct(root, val=[*COVIDX_ROWS['val'], COVIDX_ROWS['val'][0]])
    with pytest.raises(ValueError, match='val_COVIDx_CT-3A.txt, line 3: .* repeats the slice of line 1'):
        convert_covidx_ct(root)
    assert (root / 'annotations' / 'slices_train.json').read_bytes() == before


def test_lists_of_another_data_set_are_not_overwritten(root):
    convert_covidx_ct(root, skip_statistics=True)
    for path in root.glob('*_COVIDx_CT-3A.txt'):
        path.rename(path.with_name(path.name.replace('3A', '2A')))
    with pytest.raises(ValueError, match='slices_test.json belongs to COVIDx-CT 3A, and converting COVIDx-CT 2A would'):
        convert_covidx_ct(root)
    assert read(root, 'slices_train.json')['metainfo']['source'] == 'train_COVIDx_CT-3A.txt'
    (root / 'annotations').rename(root / 'annotations_3A')
    assert convert_covidx_ct(root, skip_statistics=True).dataset == 'COVIDx-CT 2A'


def test_stale_statistics_are_reported(root):
    convert_covidx_ct(root)
    (warning,) = convert_covidx_ct(root, skip_statistics=True).warnings
    assert 'statistics.json is from an earlier run' in warning


def test_from_phantom_to_batches(tmp_path, repo_root):
    """From the phantom's layout through the converter to the public configs' pipelines, with and without cropping."""
    write_phantom(tmp_path, size=64, slices_per_patient=1, covidx_train=27, covidx_val=12, covidx_test=9, **FEW)
    summary = convert_covidx_ct(tmp_path / 'covidx_ct')
    assert summary.warnings == [] and summary.statistics['num_slices'] == 27
    assert {row['source'] for row in summary.sources if row['split'] == 'slices_train'} == {
        'CNCB',
        'COVID-19-CT-Seg',
        'COVID-CT-MD',
        'COVID-CTset',
        'LIDC-IDRI',
        'STOIC',
        'Stony Brook',
        'TCIA',
        'iCTCF',
        'radiopaedia.org',
    }
    changes = dict(data_root=str(tmp_path / 'covidx_ct'), image_size=(48, 48))
    for name, cropped in (('slice_resnet18_covidx_ct', False), ('slice_resnet18_covidx_ct_body', True)):
        config = load_config(repo_root / 'configs/public' / f'{name}.py', changes)
        for part, number in (('train', 6), ('val', 6), ('test', 9)):
            dataset = DATASETS.build({**config[f'{part}_dataloader'].dataset, 'samples_per_class': 2 if number == 6 else None})
            assert len(dataset) == number
            packed = dataset[0]
            box = dataset.get_data_info(0)['body_box']
            assert packed['inputs'].shape == (1, 48, 48)
            assert packed['data_samples'].ori_shape == ((box[3] - box[1], box[2] - box[0]) if cropped else (64, 64))
            assert packed['data_samples'].get('crop_box') == (box if cropped else None)


def test_real_lists(shared_dir, tmp_path):
    """Patients by class as the authors count them, in docs/dataset.md of their repository."""
    summary = convert_covidx_ct(
        tmp_path, list_folders=[shared_dir / 'data/covidx_ct_v3'], splits=['val', 'test'], check_files=False
    )
    counts = {(row['split'], row['class']): (row['slices'], row['patients']) for row in summary.slices}
    names = ('Normal', 'CP', 'COVID-19', 'all')
    assert [counts['slices_val', name] for name in names] == [(17570, 164), (8008, 202), (8147, 194), (33725, 560)]
    assert [counts['slices_test', name] for name in names] == [(17922, 164), (7965, 138), (7894, 201), (33781, 503)]
    assert summary.warnings == []  # names, metadata.csv and labels agree, and no patient is in both lists
    sources = {(row['split'], row['source']): row['slices'] for row in summary.sources}
    assert sources['slices_val', 'CNCB'] == 21035 and sources['slices_test', 'TCIA'] == 887
    assert len(sources) == 12 and sum(sources.values()) == 33725 + 33781


def test_real_lists_of_version_1(shared_dir, tmp_path):
    summary = convert_covidx_ct(
        tmp_path, list_folders=[shared_dir / 'data/covidx_ct_v1'], check_files=False, skip_statistics=True
    )
    assert summary.dataset == 'COVIDx-CT 1' and summary.warnings == []
    assert [(row['slices'], row['patients']) for row in summary.slices if row['class'] == 'all'] == [
        (61782, 864),
        (21036, 332),
        (21191, 293),
    ]
    assert read(tmp_path, 'slices_val.json')['data_list'][0] == dict(
        img_path='1_images/NCP_1013_2577_0000.png',
        label=2,
        patient_id='NCP_1013',
        scan_id='NCP_1013_2577',
        source='CNCB',
        body_box=[0, 173, 512, 404],
    )
