"""Figures of predictions, and the choice of the slices that they show."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from mmaffinity.apis.evaluated_model import EvaluatedModel, PredictedSlice
from mmaffinity.apis.model_figures import (
    model_affinities,
    model_evidence,
    model_lesions,
    most_confident_slices,
    true_class_name,
    typical_lesion_slices,
)
from mmaffinity.models.cls_heads import AffinityClsHead
from mmaffinity.structures import SliceDataSample


def record(path, label, pred, scores):
    return dict(img_path=f'/data/{path}', rel_path=path, label=label, pred=pred, scores=scores)


def test_the_most_confident_correct_slice_of_each_class_is_shown():
    records = [
        record('d.png', 1, 1, [0.1, 0.7]),
        record('c.png', 0, 0, [0.8, 0.9]),  # another score may be higher: they are independent
        record('b.png', 0, 1, [0.1, 0.99]),  # wrong
        record('a.png', 1, 1, [0.1, 0.7]),  # as confident as d, and before it by path
        record('e.png', 0, 0, [0.6, 0.1]),
    ]
    assert most_confident_slices(records) == most_confident_slices(records[::-1]) == ['c.png', 'a.png']
    with pytest.raises(ValueError, match='no slice is correctly classified'):
        most_confident_slices(records[2:3])


def test_good_median_and_bad_lesion_slices_are_shown():
    def lesions(place, number=1):
        path = f'{place}.png'
        return dict(img_path=path, rel_path=path, num_gt=number, ap=[place / 20, place / 10])

    records = [lesions(place) for place in (3, 0, 10, 7, 5, 1, 9, 2, 8, 4, 6)]
    healthy = lesions(11, number=0)
    assert typical_lesion_slices([healthy, *records]) == ['9.png', '5.png', '1.png']
    assert typical_lesion_slices([healthy, records[0]]) == ['3.png']
    with pytest.raises(ValueError, match='no slice with lesions was tested'):
        typical_lesion_slices([healthy])


def test_true_class_may_be_unknown():
    sample = SliceDataSample(gt_slice=BaseDataElement(label=1))
    assert true_class_name(sample, ('a', 'b')) == 'b' and true_class_name(SliceDataSample(), ('a', 'b')) == 'unknown'


@pytest.fixture(scope='module')
def evaluated(narrow_phantom):
    return EvaluatedModel.load(*narrow_phantom)


def paths_of(model, task):
    infos = [model.dataset.get_data_info(index) for index in range(len(model.dataset))]
    return [info['img_path'] for info in infos if info['task'] == task]


def class_in(path):
    """The class of a slice of the phantom, by its folder."""
    return 'COVID-19' if '/NCP/' in path else 'CP' if '/CP/' in path else 'Normal'


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_affinities_have_a_row_per_slice_and_a_column_per_checkpoint(evaluated):
    other = EvaluatedModel(evaluated.model, evaluated.dataset, 'best')
    chosen = paths_of(evaluated, 'classification')
    found = titles(model_affinities([evaluated, other], [chosen[0], chosen[-1]]))
    names = [path.rsplit('/', 1)[1] for path in (chosen[0], chosen[0], chosen[-1], chosen[-1])]
    assert [title.rsplit('/', 1)[1] for title in found] == names
    assert [title.partition('\n')[0].partition(', ')[2] for title in found] == ['epoch 3', 'best'] * 2
    assert [title.partition(', ')[0] for title in found[::2]] == [class_in(chosen[0]), class_in(chosen[-1])]


def test_evidence_names_the_true_class(evaluated):
    path = paths_of(evaluated, 'classification')[0]
    figure, truth = model_evidence(evaluated, path)
    assert truth == class_in(path) and f'truth: {truth}, predicted: ' in str(figure.get_suptitle() or titles(figure))


def test_lesions_are_drawn_with_the_class_of_the_slice(evaluated):
    path = paths_of(evaluated, 'segmentation')[0]
    text = '\n'.join(titles(model_lesions(evaluated, [path], score_thr=0.05)))
    assert path.rsplit('/', 1)[1] in text and 'classified as ' in text


class Predicting:
    """Stand-in for a model whose prediction is given."""

    class_names, name, epoch = ('a', 'b'), 'model', None

    def __init__(self, **fields):
        self.sample = SliceDataSample(metainfo=dict(img_path='/d/a.png'), **fields)

    def index_of(self, path, task):
        return 0

    def __call__(self, index, mask_scores=False):
        return PredictedSlice(np.zeros((9, 9), np.uint8), self.sample)


def test_evidence_labels_the_whole_slice():
    model = Predicting(
        gt_slice=BaseDataElement(label=torch.tensor([1])),
        pred_slice=BaseDataElement(
            label=torch.tensor([0]),
            roi_boxes=torch.tensor([[1.0, 1, 4, 4], [0, 0, 9, 9]]),
            roi_features=torch.rand(2, 4),
            roi_weights=torch.ones(2),
        ),
    )
    head = AffinityClsHead(
        2, num_rois=1, in_channels=4, roi_size=1, refinement=False, fc_channels=(4,), norm_cfg=dict(type='BN'), slice_roi=True
    )
    model.model = SimpleNamespace(roi_head=SimpleNamespace(cls_head=head.eval()))
    figure, truth = model_evidence(model, 'a.png')
    assert truth == 'b'
    assert [label.get_text() for label in figure.axes[-1].get_yticklabels()] == ['#1', 'slice', 'rest', 'logit']


def test_figures_name_what_the_model_lacks():
    for model in (Predicting(), Predicting(pred_slice=BaseDataElement(label=0))):
        with pytest.raises(ValueError, match='needs a model with an affinity head'):
            model_affinities([model], ['a.png'])
        with pytest.raises(ValueError, match='needs a model with an affinity head'):
            model_evidence(model, 'a.png')
    with pytest.raises(ValueError, match='needs predicted and annotated masks, which .*a.png lacks'):
        model_lesions(Predicting(pred_instances=InstanceData()), ['a.png'])
