"""A model and its test set: slices are found by path and predicted one by one."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmaffinity.apis.evaluated_model import EvaluatedModel


@pytest.fixture(scope='module')
def evaluated(narrow_phantom):
    return EvaluatedModel.load(*narrow_phantom)


class Listed(list):
    """A test set of which only the list is known."""

    metainfo = dict(slice_classes=('a', 'b'))

    def get_data_info(self, index):
        return self[index]


def test_a_slice_is_found_by_the_end_of_its_path():
    paths = ['/d/P1/1.png', '/d/P1/11.png', '/d/P2/1.png', '/d/P2/2.png']
    infos = [dict(task='classification', img_path=path) for path in paths]
    model = EvaluatedModel(None, Listed([*infos, dict(task='segmentation', img_path='/d/P2/2.png')]), 'model')
    assert model.class_names == ('a', 'b')
    assert [model.index_of(path, 'classification') for path in ('P1/1.png', '11.png', '/d/P2/1.png', '2.png')] == [0, 1, 2, 3]
    assert model.index_of('2.png', 'segmentation') == 4
    for path, number in (('1.png', '2 classification slices'), ('png', '0 classification slices')):
        with pytest.raises(ValueError, match=f'^{path} matches {number} of the test set: give enough of the path of one slice'):
            model.index_of(path, 'classification')


def test_load_reads_the_epoch_and_the_test_set(evaluated, narrow_phantom):
    assert (evaluated.name, evaluated.epoch) == ('epoch_3', 3) and len(evaluated.dataset) == 6 + 4
    assert evaluated.class_names == ('Normal', 'CP', 'COVID-19') and not evaluated.model.training
    config, checkpoint, overrides = narrow_phantom
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        EvaluatedModel.load(config, checkpoint.with_name('absent.pth'), overrides)
    with pytest.raises(ValueError, match='does not match the config'):
        EvaluatedModel.load(config, checkpoint, {**overrides, 'model.roi_head.cls_head.num_rois': 6})


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
def test_image_and_sample_are_those_of_the_slice(evaluated, task):
    index = next(i for i in range(len(evaluated.dataset)) if evaluated.dataset.get_data_info(i)['task'] == task)
    info = evaluated.dataset.get_data_info(index)
    image, sample = evaluated(index)
    assert np.array_equal(image, cv2.imread(info['img_path'], cv2.IMREAD_UNCHANGED))
    assert sample.img_path == info['img_path'] and 'pred_slice' in sample
    assert sample.pred_instances.masks.shape[1:] == image.shape == (128, 128)


def test_mask_scores_are_the_probabilities_behind_the_masks(evaluated):
    index = evaluated.index_of(evaluated.dataset.get_data_info(0)['img_path'], evaluated.dataset.get_data_info(0)['task'])
    binary = evaluated(index).sample.pred_instances
    scores = evaluated(index, mask_scores=True).sample.pred_instances
    assert len(binary) > 0 and len(np.unique(scores.masks.numpy())) > 2
    # Both round: near 0.5, either side is right.
    clear = (scores.masks.int() - 127.5).abs() > 2
    assert ((scores.masks > 127) == binary.masks)[clear].all() and clear.float().mean() > 0.5
    again = evaluated(index).sample.pred_instances.masks
    assert again.dtype == binary.masks.dtype and (again == binary.masks).all()


def test_models_without_masks_have_no_mask_scores():
    model = EvaluatedModel(SimpleNamespace(), Listed(), 'model')
    with pytest.raises(ValueError, match='this figure needs a model that predicts masks'):
        model(0, mask_scores=True)
