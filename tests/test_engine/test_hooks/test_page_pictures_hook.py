"""Thumbnails of tested slices: which are kept, and what they show."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from mmaffinity.datasets.transforms import LoadCTSlice
from mmaffinity.engine import PagePicturesHook
from mmaffinity.engine.hooks import page_pictures_hook
from mmaffinity.structures import SliceDataSample


@pytest.fixture
def runner():
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=[LoadCTSlice()]))
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))


def make_slice(path, scores=None, truth=None, task='classification', grey=90):
    assert cv2.imwrite(str(path), np.full((64, 48), grey, np.uint8))
    sample = SliceDataSample(metainfo=dict(img_path=str(path), task=task))
    if scores is not None:
        score = torch.tensor(scores)
        sample.pred_slice = BaseDataElement(label=score.argmax()[None], score=score, logits=score.logit())
    if truth is not None:
        sample.gt_slice = BaseDataElement(label=torch.tensor([truth]))
    return sample


def run(hook, runner, samples):
    hook.before_test_epoch(runner)
    for index, sample in enumerate(samples):
        hook.after_test_iter(runner, index, {}, [sample])
    hook.after_test_epoch(runner, {})
    return [path.rsplit('/', 1)[1] for _, path in hook.pictures]


def test_errors_then_lesion_slices_then_the_least_confident_are_kept(runner, tmp_path, monkeypatch):
    samples = [
        make_slice(tmp_path / 'sure.png', [0.01, 0.99], 1),
        make_slice(tmp_path / 'unsure.png', [0.6, 0.4], 0),
        make_slice(tmp_path / 'lesions.png', task='segmentation'),
        make_slice(tmp_path / 'wrong.png', [0.01, 0.99], 0),
        make_slice(tmp_path / 'wrong_later.png', [0.9, 0.2], 1),
    ]
    hook = PagePicturesHook()
    for most, kept in (
        (5, {'sure.png', 'unsure.png', 'lesions.png', 'wrong.png', 'wrong_later.png'}),
        (4, {'unsure.png', 'lesions.png', 'wrong.png', 'wrong_later.png'}),
        (3, {'lesions.png', 'wrong.png', 'wrong_later.png'}),
        (1, {'wrong.png'}),  # the first of two equal ones
    ):
        monkeypatch.setattr(page_pictures_hook, 'MAX_PICTURES', most)
        assert set(run(hook, runner, samples)) == kept
        assert set(run(hook, runner, samples[::-1])) == (kept if most > 1 else {'wrong_later.png'})
    assert run(hook, runner, []) == []


def test_pictures_are_those_of_their_slices(runner, tmp_path):
    samples = [make_slice(tmp_path / f'{grey}.png', [0.2, 0.7], 1, grey=grey) for grey in (20, 200)]
    hook = PagePicturesHook()
    run(hook, runner, samples)
    assert hook.drawn is None  # a class alone cannot be drawn
    for sample, grey in zip(samples, (20, 200)):
        picture = cv2.imdecode(np.frombuffer(hook.pictures['classification', sample.img_path], np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (64, 48, 3) and np.abs(picture.astype(int) - grey).max() < 5


def test_what_is_drawn_is_named(runner, tmp_path):
    sample = make_slice(tmp_path / 'a.png', task='segmentation')
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10.0, 30.0, 30.0]]), scores=torch.tensor([0.9]), labels=torch.tensor([0])
    )
    hook = PagePicturesHook()
    run(hook, runner, [sample, make_slice(tmp_path / 'b.png', [0.2, 0.7], 1)])
    assert hook.drawn == 'predicted lesions with a score of at least 0.5'
