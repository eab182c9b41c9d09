"""Discovery of scans in a user's inputs."""

import os
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, chest_volume, dicom_slice, save_dicom, to_grey, write_images, write_nifti, write_series

from mmaffinity.scans import Problem, check_inputs, find_scans


def sorted_out(inputs, **kwargs):
    found = list(find_scans(inputs, **kwargs))
    return (
        {item.info.name: item for item in found if not isinstance(item, Problem)},
        {item.source: item.reason for item in found if isinstance(item, Problem)},
    )


def test_mixed_folder(tmp_path):
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    root = tmp_path / 'mixed'
    write_images(root / 'png', 3)
    write_images(root, 2)
    write_series(root / 'deep' / 'dicom', 3)
    write_nifti(root / 'deep' / 'v.nii.gz', chest_volume())
    (root / 'notes.txt').write_text('hello')
    scans, problems = sorted_out(root)
    (series,) = (scan for scan in find_scans(root) if not isinstance(scan, Problem) and scan.info.kind == 'dicom')
    assert re.fullmatch('mixed/series_[0-9a-f]{8}', series.info.name)
    assert sorted((scan.info.kind, scan.info.name) for scan in find_scans(root) if not isinstance(scan, Problem)) == [
        ('dicom', series.info.name),
        ('images', 'mixed'),
        ('images', 'mixed/png'),
        ('nifti', 'mixed/deep/v.nii.gz'),
    ]
    assert sum(scan.info.num_slices for scan in find_scans(root) if not isinstance(scan, Problem)) == 11
    assert list(problems) == ['mixed/notes.txt']


def test_single_files_lists_and_arrays(tmp_path):
    folder = write_images(tmp_path / 'a', 3)
    scans, problems = sorted_out(
        [folder / 'slice_2.png', str(folder / 'slice_0.png'), folder / 'slice_2.png', to_grey(chest()), tmp_path / 'absent.png']
    )
    assert [item.name for item in scans['a'].read()] == ['a/slice_0.png', 'a/slice_2.png']
    assert scans['arrays'].info.num_slices == 1
    assert list(problems.values()) == ['does not exist']
    scans, problems = sorted_out(to_grey(chest()))
    assert list(scans) == ['arrays'] and not problems


def test_dotted_paths_and_named_links_are_followed(tmp_path):
    folder = write_images(tmp_path / 'a', 1)
    (tmp_path / 'link').symlink_to(folder)
    for path in (tmp_path / 'a' / '..' / 'a', tmp_path / 'link'):
        scans, problems = sorted_out(path)
        assert list(scans) == ['a'] and not problems


def test_links_pipes_and_loops_inside_folders_are_skipped(tmp_path):
    outside = write_images(tmp_path / 'outside', 1)
    root = write_images(tmp_path / 'root', 1)
    (root / 'file_link.png').symlink_to(outside / 'slice_0.png')
    (root / 'folder_link').symlink_to(outside)
    (root / 'loop').symlink_to(root)
    (root / 'dangling').symlink_to('/nonexistent/x')
    (root / 'inner.png').symlink_to(root / 'slice_0.png')
    os.mkfifo(root / 'pipe.dcm')
    scans, problems = sorted_out(root)
    assert [item.name for item in scans['root'].read()] == ['root/slice_0.png'] and list(scans) == ['root']
    assert problems['root/file_link.png'] == 'is a link to a path outside the folder; links are not followed'
    assert 'outside' in problems['root/folder_link'] and 'outside' in problems['root/dangling']
    assert 'inside' in problems['root/loop'] and 'inside' in problems['root/inner.png']
    assert problems['root/pipe.dcm'] == 'is not a regular file'


def test_results_in_the_input_folder_are_skipped(tmp_path):
    write_images(tmp_path / 'in', 1)
    write_images(tmp_path / 'in' / 'out' / 'overlays', 1)
    scans, problems = sorted_out(tmp_path / 'in', exclude=[tmp_path / 'in' / 'out'])
    assert list(scans) == ['in'] and not problems


def test_results_of_an_earlier_run_are_skipped(tmp_path):
    write_images(tmp_path / 'in', 1)
    write_images(tmp_path / 'in' / 'results' / 'scan' / 'overlays', 2)
    (tmp_path / 'in' / 'results' / 'scan' / 'journal.jsonl').touch()
    scan, problem = sorted(find_scans(tmp_path / 'in'), key=lambda item: isinstance(item, Problem))
    assert scan.info.num_slices == 1 and problem.reason == 'contains results of an earlier run, not scans'
    (problem,) = find_scans(tmp_path / 'in', exclude=[tmp_path / 'in'])
    assert 'is the output folder' in problem.reason


def test_arrays_of_an_iterator_are_processed_in_chunks():
    given = []

    def arrays():
        for index in range(150):
            given.append(index)
            yield np.full((40, 40), index, np.uint8)

    names = []
    for scan in find_scans(arrays()):
        assert len(given) - len(names) <= 64
        names += [item.name for item in scan.read()]
        assert [item.grey[0, 0] for item in scan.read()] == [int(key.split('#')[1]) for key in scan.keys()]
    assert names == [f'array#{index}' for index in range(150)]
    (scan,) = find_scans([np.zeros((40, 40), np.uint8)] * 150)
    assert scan.info.num_slices == 150


def test_undecodable_names(tmp_path):
    folder = tmp_path / 'a'
    write_images(folder, 1)
    odd = os.path.join(os.fsencode(folder), b'bad\xff\n.png')
    with open(odd, 'wb') as file:
        file.write((folder / 'slice_0.png').read_bytes())
    scans, problems = sorted_out(folder)
    assert [item.name for item in scans['a'].read()] == ['a/bad\\xff\\n.png', 'a/slice_0.png'] and not problems


def test_deep_folders(tmp_path):
    folder = tmp_path
    for _ in range(300):
        folder = folder / 'd'
    write_images(folder, 1)
    scans, _ = sorted_out(tmp_path)
    assert len(scans) == 1


def test_thousands_of_bad_files_among_good_ones(tmp_path):
    root = write_images(tmp_path / 'root', 3)
    for index in range(2000):
        (root / f'empty_{index}.dcm').touch()
    with zipfile.ZipFile(root / 'bomb.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('../../escape.txt', bytes(1 << 22))
    tracemalloc.start()
    scans, problems = sorted_out(root)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(problems) == 2001 and 'zip archive' in problems['root/bomb.zip']
    assert all('empty' in reason for source, reason in problems.items() if 'empty' in source)
    assert scans['root'].info.num_slices == 3 and peak < 8 << 20


def test_memory_per_slice_is_bounded(tmp_path):
    pixel = write_images(tmp_path / 'one', 1) / 'slice_0.png'
    root = tmp_path / 'many'
    root.mkdir()
    for index in range(3000):
        os.link(pixel, root / f'slice_{index}.png')
    tracemalloc.start()
    (scan,) = find_scans(root)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert scan.info.num_slices == 3000 and kept / 3000 < 400


def test_memory_per_dicom_slice_is_bounded(tmp_path):
    pytest.importorskip('pydicom')
    for index in range(200):
        save_dicom(tmp_path / 'in' / f'im_{index:04d}.dcm', dicom_slice(np.zeros((32, 32), np.int16), index))
    list(find_scans(tmp_path / 'in'))  # imports, and what is kept for all
    tracemalloc.start()
    (scan,) = find_scans(tmp_path / 'in')
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert scan.info.num_slices == 200 and kept / 200 < 1400


@pytest.mark.parametrize('inputs, named', [(['absent'], 'absent'), (['', 'there', 'a', 'b/c'], "'' .an empty name., a, b/c")])
def test_all_missing_inputs_are_named(tmp_path, monkeypatch, inputs, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there').touch()
    check_inputs(['there', '.', to_grey(chest()), 3, 'nul\0'])
    with pytest.raises(FileNotFoundError, match=f'no such file or folder: {named}$'):
        check_inputs(inputs)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(['a.png', 'b.dcm', 'c.nii', 'd.nii.gz', 'e']), st.binary(max_size=500)), max_size=5))
def test_any_folder_gives_scans_or_problems(tmp_path, files):
    root = tmp_path / 'any'
    root.mkdir(exist_ok=True)
    for old in root.iterdir():
        old.unlink()
    names = set()
    for name, content in files:
        (root / name).write_bytes(content)
        names.add(name)
    found = list(find_scans(root))
    slices = sum(item.info.num_slices for item in found if not isinstance(item, Problem))
    assert slices + sum(isinstance(item, Problem) for item in found) >= len(names)
    for scan in found:
        if not isinstance(scan, Problem):
            for item in scan.read():
                assert isinstance(item, Problem) or isinstance(item.grey, np.ndarray)


@pytest.mark.parametrize('form', ['written by pydicom', 'class only', 'tags only', 'no preamble'])
def test_dicomdir_is_clutter(tmp_path, form):
    pydicom = pytest.importorskip('pydicom')
    folder = write_series(tmp_path / 'cd' / 'IMAGES', 2)
    from pydicom.fileset import FileSet

    index = FileSet()
    for path in folder.iterdir():
        index.add(path)
    index.write(tmp_path / 'disc')
    data = pydicom.dcmread(tmp_path / 'disc' / 'DICOMDIR')
    target = tmp_path / 'cd' / 'DICOMDIR'
    if form == 'class only':
        del data.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity
    if form == 'tags only':
        data.file_meta.MediaStorageSOPClassUID = '1.2.3'
    data.save_as(target)
    if form == 'no preamble':
        target.write_bytes(target.read_bytes()[132:])
    found = list(find_scans(tmp_path / 'cd'))
    (scan,) = (item for item in found if not isinstance(item, Problem))
    (problem,) = (item for item in found if isinstance(item, Problem))
    assert problem.clutter and problem.source == 'cd/DICOMDIR' and 'disc index' in problem.reason
    (named,) = find_scans(target)
    assert named.clutter


def test_clutter_is_distinguished_from_lost_slices(tmp_path):
    root = write_images(tmp_path / 'in', 1)
    for folder in (root, root / '__MACOSX'):
        folder.mkdir(exist_ok=True)
        (folder / '._slice_0.png').write_bytes(b'\0\5\x16\7' + bytes(80))
        (folder / '.DS_Store').write_bytes(b'\0\0\0\1Bud1')
    (root / 'notes.txt').write_text('hello')
    problems = {item.source: item.clutter for item in find_scans(root) if isinstance(item, Problem)}
    assert problems == {
        'in/._slice_0.png': True,
        'in/.DS_Store': True,
        'in/notes.txt': False,
        'in/__MACOSX/._slice_0.png': True,
        'in/__MACOSX/.DS_Store': True,
    }


@pytest.mark.parametrize(
    'changes, reason',
    [
        (
            dict(Modality='RTDOSE', NumberOfFrames=15, SOPClassUID='1.2.840.10008.5.1.4.1.1.481.2'),
            'has modality RTDOSE, not CT',
        ),
        (dict(Modality='MR', NumberOfFrames=20, SOPClassUID='1.2.840.10008.5.1.4.1.1.4.1'), 'has modality MR, not CT'),
        (dict(Modality='SEG', NumberOfFrames=3), 'has modality SEG'),
        (dict(Modality='NM', NumberOfFrames=0), 'has modality NM'),
        (dict(NumberOfFrames=2, SOPClassUID='1.2.840.10008.5.1.4.1.1.7.3'), 'is not a CT image: Multi-frame Grayscale Word'),
        (dict(Modality=None, SOPClassUID='1.2.840.10008.5.1.4.1.1.4.1', NumberOfFrames=2), 'is not a CT image: Enhanced MR'),
    ],
)
def test_other_modalities_are_named_first(tmp_path, changes, reason):
    pytest.importorskip('pydicom')
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # pydicom's, of what is written here
        save_dicom(tmp_path / 'x.dcm', dicom_slice(chest().astype(np.int16), **changes))
    (problem,) = find_scans(tmp_path / 'x.dcm')
    assert problem.reason.startswith(reason)


def test_enhanced_ct_without_its_number_of_frames_is_named(tmp_path):
    pytest.importorskip('pydicom')
    save_dicom(tmp_path / 'x.dcm', dicom_slice(chest().astype(np.int16), SOPClassUID='1.2.840.10008.5.1.4.1.1.2.1'))
    (problem,) = find_scans(tmp_path / 'x.dcm')
    assert problem.reason.startswith('has SOPClassUID 1.2.840.10008.5.1.4.1.1.2.1 (Enhanced CT) and NumberOfFrames absent')
