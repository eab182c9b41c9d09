"""Several patients under one series UID."""

import shutil

import pytest
from scan_helpers import chest, dicom_slice, save_dicom

from mmaffinity.scans import Problem, ReadOptions, find_scans

pytest.importorskip('pydicom')
UIDS = dict(SeriesInstanceUID='1.2.3.4', StudyInstanceUID='1.2.3')
NO_UIDS = dict(SeriesInstanceUID=None, StudyInstanceUID=None)
NO_SUBJECT = dict(PatientID=None, PatientName=None, PatientBirthDate=None, StudyDate=None)


def write(folder, name, number=3, height=-300.0, first=0, value=0, **changes):
    """A series of one patient, ``value`` HU denser than that of others."""
    for index in range(number):
        place = [-100, -80, height + 5 * index]
        data = dicom_slice(
            (chest(index) + value).astype('int16'),
            first + index,
            series=name,
            **{**UIDS, 'ImagePositionPatient': place, **changes},
        )
        save_dicom(folder / f'{name}{index}.dcm', data)


def scans_in(folder):
    found = list(find_scans(folder, ReadOptions()))
    assert not any(isinstance(item, Problem) for item in found), found
    return found


def sizes(scans):
    return sorted(scan.info.num_slices for scan in scans)


@pytest.mark.parametrize('height', [-300.0, -297.7, -285.0], ids=['equal', 'interleaved', 'one after another'])
@pytest.mark.parametrize('uids', [UIDS, NO_UIDS], ids=['constant', 'none'])
@pytest.mark.parametrize(
    'tells',
    [
        dict(PatientID='A'),
        dict(PatientID=None, PatientName='A'),
        dict(PatientName='A'),
        dict(StudyDate='20190101'),
        dict(PatientID=None, PatientName=None, PatientBirthDate='19500101'),
    ],
    ids=lambda tells: '+'.join(tells),
)
def test_mixed_series_are_split_by_distinguishing_entries(tmp_path, uids, tells, height):
    others = {keyword: value and '19600101' for keyword, value in tells.items()}
    write(tmp_path, 'a', **{**uids, **tells})
    write(tmp_path, 'b', height=height, value=20, **{**uids, **others})
    scans = scans_in(tmp_path)
    assert sizes(scans) == [3, 3] and len({scan.identity for scan in scans}) == len({scan.info.name for scan in scans}) == 2
    for scan in scans:
        assert len({header.name.split('/')[-1][0] for header in scan.headers}) == 1
        assert any('were split' in note and note.startswith('warning: ') for note in scan.info.notes)
        assert not any('at the position of another slice' in note for note in scan.info.notes)


def test_patient_data_is_not_kept(tmp_path):
    write(tmp_path, 'a', PatientID='Secret-1', PatientName='Hidden^One', StudyDate='20190102')
    write(tmp_path, 'b')
    for scan in scans_in(tmp_path):
        text = repr(scan.info) + scan.identity + repr(scan.headers)
        assert not any(word in text for word in ('Secret', 'secret', 'Hidden', '20190102'))


@pytest.mark.parametrize('same_uid', [False, True], ids=['own SOP UIDs', 'one SOP UID'])
def test_folders_with_equal_slice_numbers_are_split(tmp_path, same_uid):
    """No patient is named; if the SOPInstanceUID is also shared, only the pixels differ."""
    for name, value in (('A', 0), ('B', 20)):
        changes = dict(SOPInstanceUID='1.2.3.5') if same_uid else {}
        write(tmp_path / name, name, value=value, **NO_SUBJECT, **changes)
    scans = scans_in(tmp_path)
    assert sizes(scans) == [3, 3]
    assert all('2 folders contain slices of one series' in ' '.join(scan.info.notes) for scan in scans)


def test_one_series_in_several_folders_stays_one(tmp_path):
    write(tmp_path / '1', 'a', **NO_SUBJECT)
    write(tmp_path / '2', 'b', first=3, height=-285, **NO_SUBJECT)
    (scan,) = scans_in(tmp_path)
    assert scan.info.num_slices == 6 and scan.info.notes == []


def test_a_copy_in_another_folder_is_still_a_copy(tmp_path):
    write(tmp_path / '1', 'a')
    shutil.copytree(tmp_path / '1', tmp_path / '2')
    found = list(find_scans(tmp_path, ReadOptions()))
    assert [item.info.num_slices for item in found if not isinstance(item, Problem)] == [3]
    assert ['same image' in item.reason for item in found if isinstance(item, Problem)] == [True] * 3


def test_mixed_folder_without_names_gives_a_warning(tmp_path):
    write(tmp_path, 'a', **NO_SUBJECT)
    write(tmp_path, 'b', height=-297.7, value=20, **NO_SUBJECT)
    (scan,) = scans_in(tmp_path)
    notes = ' '.join(scan.info.notes)
    assert '3 InstanceNumbers of 3 occur more than once: several scans or patients in one series?' in notes


def test_series_with_a_different_value_per_slice_is_not_split(tmp_path):
    """Splitting by a PatientID that an anonymiser draws per file would give scans of one slice."""
    for index in range(4):
        write(tmp_path, str(index), 1, -300 + 5 * index, index, PatientID=f'random{index}')
    (scan,) = scans_in(tmp_path)
    assert scan.info.num_slices == 4
    assert 'warning: 4 slices of one series have 4 different PatientIDs' in ' '.join(scan.info.notes)


def test_value_missing_in_some_files_does_not_split(tmp_path):
    write(tmp_path, 'a')
    write(tmp_path, 'b', first=3, height=-285, PatientID='', PatientName='SECRET^NAME^')
    (scan,) = scans_in(tmp_path)
    assert scan.info.num_slices == 6 and scan.info.notes == []


def test_equal_numbers_on_all_slices_are_ignored(tmp_path):
    for index in range(3):
        write(tmp_path, str(index), 1, -300 + 5 * index, 6)
    (scan,) = scans_in(tmp_path)
    assert scan.info.notes == []
