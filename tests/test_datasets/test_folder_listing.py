"""Which files count as slices in a folder of collected files, and what is reported about the others."""

import os

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from PIL import Image

from mmaffinity.datasets import slice_folder_dataset
from mmaffinity.datasets.folder_listing import describe_unused, list_folder
from mmaffinity.datasets.verification import verify_config

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


def picture(path, kind):
    """Write an image under any name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path, format=kind)


def listed(folder, *others):
    """Names of the slices, and of unused files by reason, relative to the folder."""
    slices, unused = [], {}
    for path, reason in list_folder(folder, others):
        name = path.relative_to(folder).as_posix()
        slices.append(name) if reason is None else unused.setdefault(reason, []).append(name)
    return sorted(slices), {reason: sorted(names) for reason, names in unused.items()}


def test_images_are_detected_by_content(tmp_path):
    names = {
        'a.jfif': 'JPEG',
        'b.jpe': 'JPEG',
        'c': 'PNG',
        'd.PNG': 'PNG',
        'e.dat': 'TIFF',
        'f.Tif': 'TIFF',
        'g.img': 'BMP',
        'h.x': 'WEBP',
        'i.pnm': 'PPM',
        'deep/er/j.000': 'PNG',
        'k.dcm': 'PNG',
    }
    for name, kind in names.items():
        picture(tmp_path / name, kind)
    slices, unused = listed(tmp_path)
    assert slices == sorted(names) and unused == {}


def test_other_files_are_reported_by_type(tmp_path):
    picture(tmp_path / 'a.png', 'PNG')
    picture(tmp_path / 'b.gif', 'GIF')
    Image.new('L', (4, 4)).save(tmp_path / 'c.GIF', save_all=True, append_images=[Image.new('L', (4, 4), 9)])
    (tmp_path / 'd.dcm').write_bytes(bytes(128) + b'DICM')
    for name in ('e.nii.gz', 'f.NII.GZ'):
        (tmp_path / name).write_bytes(b'\x1f\x8b')
    for name, text in (('BMI.txt', 'BM of the patients is listed below'), ('notes', 'P 5'), ('empty.jfif', '')):
        (tmp_path / name).write_text(text)
    for clutter in (
        '.DS_Store',
        '._a.png',
        '.hidden/a.png',
        '.ipynb_checkpoints/a-checkpoint.png',
        '__MACOSX/a.png',
        'Thumbs.db',
        'desktop.ini',
    ):
        picture(tmp_path / clutter, 'PNG')
    slices, unused = listed(tmp_path)
    assert slices == ['a.png']
    assert unused == {
        '.gif': ['b.gif', 'c.GIF'],
        '.dcm': ['d.dcm'],
        '.nii.gz': ['e.nii.gz', 'f.NII.GZ'],
        '.txt': ['BMI.txt'],
        'no extension': ['notes'],
        '.jfif': ['empty.jfif'],
    }


def test_damaged_image_files_stay_in_the_list(tmp_path):
    """They stop a run, or are skipped and counted, but are not ignored."""
    for name in ('empty.png', 'text.jpg', 'gif.tif'):
        (tmp_path / name).write_bytes({'e': b'', 't': b'no picture', 'g': b'GIF89a'}[name[0]])
    assert listed(tmp_path) == (['empty.png', 'gif.tif', 'text.jpg'], {})


@pytest.mark.parametrize(
    'folder',
    [
        'mask',
        'Masks',
        'lesion_mask',
        'lung masks',
        'lungmask',
        'masks_png',
        'labels',
        'Segmentation',
        'lesion-seg',
        'ground_truth',
        'GT',
        'annotations',
    ],
)
def test_masks_in_a_folder(tmp_path, folder):
    picture(tmp_path / 'p1/a.png', 'PNG')
    picture(tmp_path / f'p1/{folder}/deep/a.png', 'PNG')
    assert listed(tmp_path) == (['p1/a.png'], {'masks': [f'p1/{folder}/deep/a.png']})
    (tmp_path / 'other').mkdir()
    picture(tmp_path / f'other/{folder}/a.png', 'PNG')
    assert listed(tmp_path / 'other' / folder)[0] == ['a.png']  # a class may have this name


@pytest.mark.parametrize('folder', ['masked', 'unmasked', 'segment_3', 'labelled', 'gtx', 'patient_label_12a'])
def test_other_folders_contain_slices(tmp_path, folder):
    picture(tmp_path / folder / 'a.png', 'PNG')
    assert listed(tmp_path) == ([f'{folder}/a.png'], {})


def test_masks_next_to_their_slices(tmp_path):
    for name in (
        'a (1).png',
        'a (1)_mask.png',
        'a (1)_mask_1.png',
        'b.jpg',
        'b-seg.png',
        'c_mask.png',
        'mask.png',
        'label_1.png',
    ):
        picture(tmp_path / name, 'PNG')
    slices, unused = listed(tmp_path)
    assert unused == {'masks': ['a (1)_mask.png', 'a (1)_mask_1.png', 'b-seg.png']}
    assert slices == ['a (1).png', 'b.jpg', 'c_mask.png', 'label_1.png', 'mask.png']  # no slices belong to these masks


def test_links(tmp_path):
    picture(tmp_path / 'elsewhere/p2/b.png', 'PNG')
    folder = tmp_path / 'covid'
    picture(folder / 'a.png', 'PNG')
    (folder / 'c.png').symlink_to(tmp_path / 'elsewhere/p2/b.png')
    (folder / 'p2').symlink_to(tmp_path / 'elsewhere/p2')
    (folder / 'loop').symlink_to(folder)
    (folder / 'gone.png').symlink_to(tmp_path / 'gone.png')
    assert listed(folder) == (['a.png', 'c.png', 'p2/b.png'], {'broken links': ['gone.png']})


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes')
def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / 'a.png'), os.mkfifo(tmp_path / 'b')
    assert listed(tmp_path) == ([], {'special files': ['a.png', 'b']})


def test_description_of_unused_files():
    assert describe_unused('healthy', ['.gif', '.jfif', '.jfif']) == '3 files of healthy are not used (.jfif 2, .gif 1)'
    assert describe_unused('x', ['masks']) == '1 file of x is not used (masks 1)'


# --- as a data set ---------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(monkeypatch):
    messages = []
    monkeypatch.setattr(slice_folder_dataset, 'print_log', lambda message, **_: messages.append(message))
    return messages


@pytest.fixture
def collected(tmp_path):
    """Two classes of collected files, and a third folder."""
    for name in ('healthy', 'covid'):
        for index, end in enumerate(('.PNG', '.jfif', '.jpe', '')):
            picture(tmp_path / name / f'{index}{end}', 'PNG' if end in ('.PNG', '') else 'JPEG')
        picture(tmp_path / name / '4.gif', 'GIF')
        picture(tmp_path / name / 'mask/a.png', 'PNG')
    picture(tmp_path / 'other/a.png', 'PNG')
    return tmp_path


def build(root, *classes, **options):
    return DATASETS.build(
        dict(
            type='SliceFolderDataset',
            data_root=str(root),
            slice_classes=classes or ('healthy', 'covid'),
            pipeline=[dict(type='LoadCTSlice')],
            **options,
        )
    )


def names(dataset):
    return [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]


def test_unused_files_are_logged(collected, logged):
    dataset = build(collected)
    assert names(dataset) == [f'{name}/{file}' for name in ('healthy', 'covid') for file in ('0.PNG', '1.jfif', '2.jpe', '3')]
    assert dataset[7]['img'].shape == (8, 8)
    assert logged == [
        '2 files of healthy are not used (.gif 1, masks 1)',
        '2 files of covid are not used (.gif 1, masks 1)',
        f'folders of {collected} that are not classes are not used: other',
    ]
    assert list(dataset.unused) == logged
    assert dataset.unused[logged[0]] == ['healthy/4.gif', 'healthy/mask/a.png']


def test_verification_reports_unused_files(collected):
    from mmengine.config import Config

    data = dict(type='SliceFolderDataset', data_root=str(collected), slice_classes=('healthy', 'covid'), folds=2)
    for index in range(8):  # so that no fold is empty
        for label, name in enumerate(('healthy', 'covid')):
            cv2.imwrite(str(collected / name / f'more{index}.png'), np.full((8, 8), 100 * label + index + 1, np.uint8))
    report = verify_config(
        Config(dict(train_dataloader=dict(dataset=data), test_dataloader=dict(dataset=dict(data, test_mode=True))))
    )
    found = [finding for finding in report.findings if finding.check == 'unused-files']
    assert [finding.count for finding in found] == [2, 2, 1]  # once, though both splits list the same folders
    assert found[0].message == '2 files of healthy are not used (.gif 1, masks 1)' and found[0].severity == 'warning'


def test_class_without_slices_reports_its_files(collected):
    (collected / 'films').mkdir()
    picture(collected / 'films/a.gif', 'GIF')
    (collected / 'bare').mkdir()
    for options in ({}, {'lazy_init': True}):
        with pytest.raises(ValueError, match=r'films contains no image \(PNG.*: 1 file of films is not used \(.gif 1\)'):
            build(collected, 'healthy', 'films', **options).check_source()
        with pytest.raises(ValueError, match=r'bare contains no image .*, nor any other file'):
            build(collected, 'healthy', 'bare', **options).check_source()


@pytest.mark.skipif(os.path.normcase('A') == 'a', reason='names differ in more than their case here')
def test_missing_class_folder_lists_existing_ones(collected):
    with pytest.raises(FileNotFoundError, match=r'/COVID \(did you mean covid\?\)'):
        build(collected, 'healthy', 'COVID')
    with pytest.raises(FileNotFoundError, match=r'/Normal \(there are covid, healthy, other\)'):
        build(collected, 'Normal', 'covid')


def test_a_class_inside_another(collected):
    picture(collected / 'covid/severe/x.png', 'PNG')
    mild, severe = (names(build(collected, 'covid', 'covid/severe'))[part] for part in (slice(0, 4), slice(4, None)))
    assert severe == ['covid/severe/x.png'] and 'covid/severe/x.png' not in mild
    with pytest.raises(ValueError, match=r'two classes share a folder \(covid, ./covid\)'):
        DATASETS.build(dict(type='SliceFolderDataset', data_root=str(collected), slice_classes=dict(a='covid', b='./covid')))


def test_classes_outside_the_data_root(collected, tmp_path_factory):
    other = tmp_path_factory.mktemp('elsewhere')
    picture(other / 'a.png', 'PNG')
    dataset = DATASETS.build(
        dict(
            type='SliceFolderDataset',
            data_root=str(collected),
            pipeline=[dict(type='LoadCTSlice')],
            slice_classes=dict(healthy='healthy', covid=str(other)),
        )
    )
    assert len(dataset) == 5 and dataset[4]['img'].shape == (8, 8)


def test_reported_folder(shared_dir, logged):
    root = shared_dir / 'cases/folder'
    if not root.is_dir():
        pytest.skip(f'no {root}')
    dataset = build(root)
    assert len(dataset) == 18 and all(dataset[index]['img'].shape == (256, 256) for index in range(18))
    assert logged == [f'4 files of {name} are not used (.gif 1, .txt 1, .dcm 1, masks 1)' for name in ('healthy', 'covid')]
