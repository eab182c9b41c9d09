import re

import pytest

from mmaffinity.datasets.conversion import ConversionSummary
from mmaffinity.datasets.conversion.pairs import IMAGES, find_pairs


@pytest.fixture
def put(tmp_path):

    def write(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b'')
        return tmp_path

    return write


@pytest.fixture
def summary():
    return ConversionSummary('test')


def paired(pairs):
    return {pair.name: (pair.image.name, pair.mask.name) for pair in pairs}


def test_names_in_public_data_sets(put, summary):
    root = put(
        'ct/coronacases_001.nii.gz',
        'ct/radiopaedia_10_85902_1.nii.gz',
        'ct/notes.txt',
        'ct/._coronacases_001.nii.gz',
        'infection/coronacases_001.nii.gz',
        'infection/radiopaedia_10_85902_1.nii.gz',
    )
    found = find_pairs(root / 'ct', root / 'infection', summary)
    assert (
        list(paired(found)) == ['coronacases_001', 'radiopaedia_10_85902_1'] and not summary.warnings and not summary.problems
    )
    assert [pair.image.parent.name for pair in found] == ['ct', 'ct']
    assert [pair.mask.parent.name for pair in found] == ['infection', 'infection']


def test_links_to_folders_are_followed_and_hidden_folders_are_not(put, summary):
    root = put(
        'store/p2/1.png',
        'images/p1/1.png',
        'images/p1/.ipynb_checkpoints/1.png',
        'masks/p1/1.png',
        'masks/p2/1.png',
        'masks/__MACOSX/p1/1.png',
    )
    (root / 'images/p2').symlink_to(root / 'store/p2', target_is_directory=True)
    (root / 'images/p2/again').symlink_to(root / 'images', target_is_directory=True)
    assert list(paired(find_pairs(root / 'images', root / 'masks', summary, kind=IMAGES))) == ['p1/1', 'p2/1']
    assert not summary.warnings


def test_study_folders_with_few_masks(put, summary):
    root = put(
        *(f'studies/CT-{number % 2}/study_{number:04d}.nii.gz' for number in range(5)),
        'masks/study_0003_mask.nii.gz',
        'masks/study_0009_mask.nii.gz',
    )
    found = find_pairs(root / 'studies', root / 'masks', summary)
    assert paired(found) == {'study_0003': ('study_0003.nii.gz', 'study_0003_mask.nii.gz')}
    assert summary.warnings == [
        '4 volumes have no mask and are left out (study_0000.nii.gz, study_0001.nii.gz, study_0002.nii.gz, ...)',
        '1 mask has no volume and is left out (study_0009_mask.nii.gz)',
    ]


def test_one_folder_for_both(put, summary):
    root = put(
        'Train/volume-covid19-A-0003_ct.nii.gz', 'Train/volume-covid19-A-0003_seg.nii.gz', 'Train/b.nii', 'Train/b_seg.NII'
    )
    assert paired(find_pairs(root / 'Train', root / 'Train', summary)) == {
        'b': ('b.nii', 'b_seg.NII'),
        'volume-covid19-A-0003': ('volume-covid19-A-0003_ct.nii.gz', 'volume-covid19-A-0003_seg.nii.gz'),
    }


def test_masks_below_the_volumes_are_masks(put, summary):
    root = put('a.nii.gz', 'masks/a.nii.gz')
    found = find_pairs(root, root / 'masks', summary)
    assert paired(found) == {'a': ('a.nii.gz', 'a.nii.gz')} and found[0].mask.parent.name == 'masks'
    found = find_pairs(root / 'masks', root, summary)  # the other way round: now masks/ contains the volume
    assert found[0].image.parent.name == 'masks' and found[0].mask.parent == root.resolve()


def test_other_names_by_a_pattern(put, summary):
    root = put(
        'ct/coronacases_org_001.nii',
        'ct/radiopaedia_org_covid-19-pneumonia-4_85506_1-dcm.nii',
        'ct/x.nii',
        'm/coronacases_001.nii',
        'm/radiopaedia_4_85506_1.nii',
    )
    found = find_pairs(
        root / 'ct', root / 'm', summary, r'(coronacases|radiopaedia)(?:_org)?_(?:covid-19-pneumonia-)?(\d+(?:_\d+)*)'
    )
    assert paired(found) == {
        'coronacases_001': ('coronacases_org_001.nii', 'coronacases_001.nii'),
        'radiopaedia_4_85506_1': ('radiopaedia_org_covid-19-pneumonia-4_85506_1-dcm.nii', 'radiopaedia_4_85506_1.nii'),
    }
    (note,) = summary.warnings
    assert note.startswith('the names of 1 volume do not match') and 'x.nii' in note


def test_ambiguous_names_do_not_stop_the_others(put, summary):
    root = put('ct/one/a.nii', 'ct/two/a.nii', 'ct/b.nii', 'm/a.nii', 'm/b.nii')
    found = find_pairs(root / 'ct', root / 'm', summary)
    assert list(paired(found)) == ['b']
    assert len(summary.problems) == 1 and re.match('a: several files have this name.*one/a.nii.*two/a.nii', summary.problems[0])


def test_equal_slice_numbers_in_patient_folders(put, summary):
    root = put(
        'image/P1/a_0000.jpg',
        'image/P1/a_0001.jpg',
        'image/P2/a_0000.PNG',
        'image/P3/b_img.png',
        'image/list.csv',
        'mask/P1/a_0000.png',
        'mask/P1/a_0001_mask.png',
        'mask/P2/a_0000.png',
        'mask/P3/b_gt.tif',
    )
    found = find_pairs(root / 'image', root / 'mask', summary, kind=IMAGES)
    assert paired(found) == {
        'P1/a_0000': ('a_0000.jpg', 'a_0000.png'),
        'P1/a_0001': ('a_0001.jpg', 'a_0001_mask.png'),
        'P2/a_0000': ('a_0000.PNG', 'a_0000.png'),
        'P3/b': ('b_img.png', 'b_gt.tif'),
    }
    with pytest.raises(FileNotFoundError, match=r'contains no image \(.bmp, .jpeg'):
        find_pairs(root / 'image', put('empty/a.nii') / 'empty', summary, kind=IMAGES)


def test_invalid_arguments(put, summary):
    root = put('ct/a.nii', 'm/b.nii', 'empty/readme.txt')
    with pytest.raises(FileNotFoundError, match='no volume of .*ct has a mask in .*1 volume has no mask.*--pair-pattern'):
        find_pairs(root / 'ct', root / 'm', summary)
    with pytest.raises(FileNotFoundError, match='the folder .*nowhere does not exist'):
        find_pairs(root / 'ct', root / 'nowhere', summary)
    with pytest.raises(FileNotFoundError, match='empty contains no volume'):
        find_pairs(root / 'empty', root / 'm', summary)
    with pytest.raises(ValueError, match='has no group'):
        find_pairs(root / 'ct', root / 'm', summary, 'a')
    with pytest.raises(ValueError, match='is not a regular expression'):
        find_pairs(root / 'ct', root / 'm', summary, '(')
