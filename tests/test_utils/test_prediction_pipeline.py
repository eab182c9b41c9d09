"""The preprocessing of slices outside a config's lists."""

import pytest

from mmaffinity.utils.config import load_config
from mmaffinity.utils.prediction_pipeline import prediction_transforms


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
