"""One picture per tested slice."""

import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import HOOKS, TRANSFORMS
from mmengine.structures import BaseDataElement

import mmaffinity.datasets  # noqa: F401 (registers LoadCTSlice)
from mmaffinity.datasets.transforms import LoadCTSlice
from mmaffinity.engine import SliceVisualizationHook
from mmaffinity.engine.hooks import slice_visualization_hook
from mmaffinity.structures import SliceDataSample
from mmaffinity.visualization.overlays import draw_overlay

CLASSES = ('Negative', 'COVID-19')


def make_runner(loader=None):
    pipeline = SimpleNamespace(transforms=[loader or LoadCTSlice()])
    part = SimpleNamespace(pipeline=pipeline)
    dataset = SimpleNamespace(datasets=[part], metainfo=dict(slice_classes=CLASSES, classes=('lesion',)))
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset), logger=logging.getLogger('test'))


def make_slice(path, patient_id=None, scan_id=None, image=None):
    if image is None:
        image = np.full((64, 64), 90, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    sample = SliceDataSample(metainfo=dict(img_path=str(path), patient_id=patient_id, scan_id=scan_id, task='classification'))
    score = torch.tensor([0.2, 0.7])
    sample.pred_slice = BaseDataElement(label=torch.tensor([1]), score=score, logits=score.logit())
    return sample


def run(hook, samples, runner=None, batch_size=2):
    runner = runner or make_runner()
    hook.before_test_epoch(runner)
    for index in range(0, len(samples), batch_size):
        hook.after_test_iter(runner, index, {}, samples[index : index + batch_size])
    hook.after_test_epoch(runner, {})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_equal_file_names_of_patients_do_not_collide(tmp_path):
    samples = [
        make_slice(tmp_path / patient / scan / f'{index:04}.png', patient, scan)
        for patient in ('12', '13')
        for scan in ('1', '2')
        for index in (7, 8)
    ]
    run(HOOKS.build(dict(type='SliceVisualizationHook', show_dir=str(tmp_path / 'out'))), samples)
    assert names(tmp_path / 'out') == sorted(
        f'{patient}_{scan}_{index:04}.png' for patient in ('12', '13') for scan in ('1', '2') for index in (7, 8)
    )
    first = cv2.imread(str(tmp_path / 'out' / '12_1_0007.png'))[..., ::-1]
    np.testing.assert_array_equal(first, draw_overlay(np.full((64, 64), 90, np.uint8), samples[0], CLASSES))


def test_colours_are_those_of_the_file(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    image[:] = 200, 30, 90  # BGR, as cv2.imwrite stores it
    sample = make_slice(tmp_path / 'photo.png', image=image)
    run(SliceVisualizationHook(tmp_path / 'out'), [sample], make_runner(TRANSFORMS.build(dict(type='LoadImageFromFile'))))
    (name,) = names(tmp_path / 'out')
    assert (cv2.imread(str(tmp_path / 'out' / name))[:64, :64] == (200, 30, 90)).all()


def test_colliding_names_get_a_suffix(tmp_path):
    samples = [
        make_slice(tmp_path / name)
        for name in ('a/COVID/1.png', 'b/COVID/1.png', 'b/COVID/1.jpg', 'c/covid/1.png', 'd/CO VID/1.png', 'd/CO+VID/1.png')
    ]
    hook = SliceVisualizationHook(tmp_path / 'out')
    run(hook, samples)
    written = names(tmp_path / 'out')
    assert len(written) == len({name.lower() for name in written}) == 6 and 'COVID_1.png' in written
    run(hook, samples)
    assert names(tmp_path / 'out') == written, 'a second run takes the same names'


def test_names_are_safe(tmp_path):
    hook = SliceVisualizationHook(tmp_path)
    for patient in ('../../etc', 'a b\nc', '\u00fc:*?', '.hidden', 'x' * 400, ''):
        sample = SliceDataSample(metainfo=dict(img_path='/d/..', patient_id=patient, scan_id='/'))
        name = hook.file_name(sample)
        assert name.endswith('.png') and len(name) < 200 and not name.startswith('.')
        assert all(letter.isascii() and (letter.isalnum() or letter in '._-') for letter in name)


def test_several_processes_never_share_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(slice_visualization_hook, 'get_world_size', lambda: 2)
    samples = [make_slice(tmp_path / name) for name in ('a/COVID/1.png', 'b/COVID/1.png')]
    written = [SliceVisualizationHook(tmp_path).file_name(sample) for sample in samples]  # one hook per process
    assert len(set(written)) == 2


def test_a_name_that_is_not_utf8(tmp_path, monkeypatch):
    monkeypatch.setattr(slice_visualization_hook, 'get_world_size', lambda: 2)
    name = SliceVisualizationHook(tmp_path).file_name(SliceDataSample(metainfo=dict(img_path='COVID/caf\udce9.png')))
    assert name.isascii() and name.startswith('COVID_caf')


def test_interval_and_limit(tmp_path):
    samples = [make_slice(tmp_path / 'P' / f'{index}.png') for index in range(7)]
    run(SliceVisualizationHook(tmp_path / 'third', interval=3), samples)
    assert names(tmp_path / 'third') == ['P_0.png', 'P_3.png', 'P_6.png']
    hook = SliceVisualizationHook(tmp_path / 'two', max_slices=2)
    run(hook, samples)
    run(hook, samples[3:])  # counting restarts in each run
    assert names(tmp_path / 'two') == ['P_0.png', 'P_1.png', 'P_3.png', 'P_4.png']
    run(SliceVisualizationHook(None), samples)


def test_sixteen_bit_slices_have_the_grey_levels_of_the_model(tmp_path):
    image = (np.arange(64 * 64).reshape(64, 64) % 4096).astype(np.uint16)
    sample = make_slice(tmp_path / 'P' / '1.png', image=image)
    run(SliceVisualizationHook(tmp_path / 'out'), [sample], make_runner(LoadCTSlice(max_value=4095)))
    drawn = cv2.imread(str(tmp_path / 'out' / 'P_1.png'))[:768:12, :768:12, 0]
    np.testing.assert_array_equal(drawn, np.rint(image / 4095 * 255))
    run(SliceVisualizationHook(tmp_path / 'out'), [sample], make_runner(LoadCTSlice(max_value=8190)))
    assert cv2.imread(str(tmp_path / 'out' / 'P_1.png'))[:768, :768].max() in (127, 128)


def test_cropped_slices_are_drawn_as_the_model_saw_them(tmp_path):
    image = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    sample = make_slice(tmp_path / 'P' / '1.png', image=image)
    sample.set_metainfo(dict(crop_box=(4, 10, 60, 50)))
    run(SliceVisualizationHook(tmp_path / 'out'), [sample])
    drawn = cv2.imread(str(tmp_path / 'out' / 'P_1.png'))[..., ::-1]
    np.testing.assert_array_equal(drawn, draw_overlay(image[10:50, 4:60], sample, CLASSES))


def test_location_of_the_images_is_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger='test')
    run(SliceVisualizationHook(tmp_path / 'out', max_slices=1), [make_slice(tmp_path / 'P' / f'{i}.png') for i in '12'])
    assert f'1 of 2 slices drawn in {tmp_path / "out"}' in caplog.text


def test_misuse_raises_clear_errors(tmp_path):
    with pytest.raises(ValueError, match='interval=0'):
        SliceVisualizationHook(tmp_path, interval=0)
    with pytest.raises(ValueError, match='max_slices=0'):
        SliceVisualizationHook(tmp_path, max_slices=0)
    sample = make_slice(tmp_path / 'P' / '1.png')
    runner = make_runner()
    runner.test_dataloader.dataset = SimpleNamespace(metainfo={})
    with pytest.raises(ValueError, match='no pipeline'):
        run(SliceVisualizationHook(tmp_path / 'out'), [sample], runner)
    (tmp_path / 'P' / '1.png').unlink()
    with pytest.raises(FileNotFoundError, match='1.png'):
        run(SliceVisualizationHook(tmp_path / 'out'), [sample])
