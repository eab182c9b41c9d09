"""The preprocessing of slices outside a config's lists."""

import pytest
from mmengine.config import Config

from mmaffinity.utils.config import load_config
from mmaffinity.utils.prediction_pipeline import prediction_transforms, slice_class_names, takes_color


def test_config_that_crops_to_body_boxes_is_rejected():
    """A scan has no list with body boxes, and such a model was not trained on whole slices."""
    config = load_config('affinity_c8')
    loader = config.test_dataloader
    loader.dataset = dict(
        type='SliceDataset',
        ann_file='a.json',
        pipeline=[dict(type='LoadCTSlice'), dict(type='CropToBodyBox'), dict(type='PackSliceInputs')],
    )
    with pytest.raises(ValueError, match='needs slices cropped to the body boxes of its lists .CropToBodyBox.*whole slices'):
        prediction_transforms(config)
    loader.dataset.pipeline[1].required = False
    assert [transform['type'] for transform in prediction_transforms(config)][:2] == ['LoadCTSliceFromArray', 'CropToBodyBox']


def loader(*datasets):
    return dict(dataset=dict(type='MultiTaskDataset', datasets=list(datasets)))


def test_slices_in_memory_need_no_files_and_annotations():
    """The pipeline is that of the labelled slices, which come last."""
    lesions = dict(pipeline=[dict(type='LoadCTSlice'), dict(type='LoadAnnotations'), dict(type='Other')])
    slices = dict(pipeline=[dict(type='LoadCTSlice'), dict(type='Resize', scale=(9, 9)), dict(type='PackSliceInputs')])
    config = Config(dict(test_dataloader=loader(lesions, slices)))
    found = prediction_transforms(config)
    assert found == [dict(type='LoadCTSliceFromArray'), dict(type='Resize', scale=(9, 9)), dict(type='PackSliceInputs')]
    assert not takes_color(found)
    found[1]['scale'] = (1, 1)
    assert config.test_dataloader.dataset.datasets[1].pipeline[1].scale == (9, 9)


@pytest.mark.parametrize('name', ['LoadImageFromFile', 'mmdet.LoadImageFromFile', 'LoadImageFromNDArray'])
def test_images_in_colour_keep_their_channels(name):
    slices = dict(pipeline=[dict(type=name, to_float32=True), dict(type='PackSliceInputs')])
    config = Config(dict(test_dataloader=loader(slices)))
    found = prediction_transforms(config)
    assert found == [dict(type='LoadImageFromNDArray', to_float32=True), dict(type='PackSliceInputs')] and takes_color(found)
    slices['pipeline'][0]['color_type'] = 'grayscale'
    found = prediction_transforms(Config(dict(test_dataloader=loader(slices))))
    assert found == [dict(type='LoadCTSliceFromArray'), dict(type='PackSliceInputs')] and not takes_color(found)
    slices['pipeline'][0]['color_type'] = 'unchanged'
    with pytest.raises(ValueError, match="color_type='unchanged', which prediction does not support: use LoadCTSlice"):
        prediction_transforms(Config(dict(test_dataloader=loader(slices))))


@pytest.mark.parametrize('fields', [{}, dict(test_dataloader=None), dict(test_dataloader=dict(dataset=dict(ann_file='a')))])
def test_a_config_without_a_test_pipeline_is_rejected(fields):
    with pytest.raises(ValueError, match='has no test data set with a pipeline to prepare slices; add test_dataloader'):
        prediction_transforms(Config(fields))


def test_class_names_come_from_the_config_or_its_data_sets():
    named, other = dict(metainfo=dict(slice_classes=['a', 'b'])), dict(metainfo=dict(slice_classes=['c']))
    config = Config(dict(val_dataloader=loader(dict(metainfo=None), named), test_dataloader=loader(other)))
    assert slice_class_names(config) == ('a', 'b')
    assert slice_class_names(Config(dict(config, slice_classes=('x', 'y')))) == ('x', 'y')
    assert slice_class_names(Config(dict(test_dataloader=loader(dict(ann_file='a'))))) == ()
