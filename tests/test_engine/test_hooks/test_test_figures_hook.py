"""Figures of a test run: one slice per class."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.structures import BaseDataElement

from mmaffinity.engine import TestFiguresHook
from mmaffinity.engine.hooks import test_figures_hook
from mmaffinity.structures import SliceDataSample

CLASSES = ('Normal', 'CP', 'COVID-19')


def make_slice(name, label, scores, affinity=None):
    sample = SliceDataSample(metainfo=dict(img_path=f'/data/{name}'))
    score = torch.tensor(scores)
    sample.pred_slice = BaseDataElement(label=score.argmax()[None], score=score)
    if affinity is not None:
        sample.pred_slice.affinity = torch.full((4, 6), float(affinity))
    sample.gt_slice = BaseDataElement(label=torch.tensor([label]))
    return sample


def run(hook, samples, reports):
    runner = SimpleNamespace(test_evaluator=SimpleNamespace(metrics=[SimpleNamespace(report=report) for report in reports]))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, {}, samples)
    hook.after_test_epoch(runner, {})


@pytest.fixture
def report():
    return SimpleNamespace(confusion=np.array([[3, 1, 0], [0, 2, 0], [0, 0, 4]]), class_names=CLASSES)


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn as affinities: the matrices and their titles."""
    calls, draw = [], test_figures_hook.draw_affinity
    monkeypatch.setattr(test_figures_hook, 'draw_affinity', lambda *call: calls.append(call) or draw(*call))
    return calls


def test_the_most_confident_correct_slice_of_each_class_is_drawn(tmp_path, report, drawn):
    samples = [
        make_slice('a.png', 2, [0.1, 0.1, 0.8], 1),
        make_slice('b.png', 2, [0.1, 0.1, 0.9], 2),
        make_slice('c.png', 2, [0.1, 0.1, 0.9], 3),  # as confident, but later
        make_slice('d.png', 1, [0.1, 0.1, 0.95], 4),  # wrong
        make_slice('e.png', 0, [0.6, 0.1, 0.2], 5),
        make_slice('f.png', 0, [0.7, 0.1, 0.2]),  # of a model without affinities
    ]
    hook = HOOKS.build(dict(type='TestFiguresHook', out_dir=str(tmp_path / 'out')))
    run(hook, samples, [None, report])
    ((matrices, titles),) = drawn
    assert [matrix.tolist()[0][0] for matrix in matrices] == [5, 2]
    assert titles == [
        'Normal (0.60)\ne.png',
        'COVID-19 (0.90)\nb.png',
    ]
    for name in ('confusion_matrix.png', 'affinity.png'):
        assert np.ptp(cv2.imread(str(tmp_path / 'out' / name))) > 100
    run(hook, [], [report])  # the slices of the earlier run are forgotten
    assert len(drawn) == 1


def test_without_a_classification_nothing_is_drawn(tmp_path, report, drawn, monkeypatch):
    hook = TestFiguresHook(tmp_path / 'out')
    run(hook, [], [None])
    monkeypatch.setattr(test_figures_hook, 'is_main_process', lambda: False)
    run(hook, [make_slice('a.png', 2, [0.1, 0.1, 0.8], 1)], [report])
    assert not drawn and not (tmp_path / 'out').exists()


def test_a_model_without_affinities_has_a_confusion_matrix(tmp_path, report, drawn):
    run(TestFiguresHook(tmp_path), [make_slice('a.png', 2, [0.1, 0.1, 0.8])], [report])
    assert [path.name for path in tmp_path.iterdir()] == ['confusion_matrix.png'] and not drawn
