import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from mmaffinity.structures import SliceDataSample


def pack(results, **options):
    return TRANSFORMS.build(dict(type='PackSliceInputs', **options))(results)


def lesions() -> dict:
    masks = np.zeros((3, 8, 10), np.uint8)
    masks[0, 1:3, 1:4], masks[1, 4:6, 5:9], masks[2] = 1, 1, 1
    return dict(
        img=np.arange(80, dtype=np.uint8).reshape(8, 10),
        img_path='a.png',
        img_id=3,
        task='segmentation',
        ori_shape=(16, 20),
        img_shape=(8, 10),
        scale_factor=(0.5, 0.5),
        instances=[dict(bbox=[2, 2, 8, 6])],
        gt_bboxes=HorizontalBoxes([[1, 1, 4, 3], [5, 4, 9, 6], [0, 0, 10, 8]]),
        gt_bboxes_labels=np.array([0, 0, 0]),
        gt_masks=BitmapMasks(masks, 8, 10),
        gt_ignore_flags=np.array([False, False, True]),
        patient_id='p1',
    )


def test_segmentation():
    results = lesions()
    packed = pack(results)
    assert packed['inputs'].dtype == torch.uint8
    assert torch.equal(packed['inputs'], torch.arange(80, dtype=torch.uint8).view(1, 8, 10))
    sample = packed['data_samples']
    assert type(sample) is SliceDataSample
    assert type(sample.gt_instances.bboxes) is torch.Tensor
    assert sample.gt_instances.bboxes.tolist() == [[1, 1, 4, 3], [5, 4, 9, 6]]
    assert sample.gt_instances.labels.tolist() == [0, 0]
    assert np.array_equal(sample.gt_instances.masks.masks, results['gt_masks'].masks[:2])
    assert sample.ignored_instances.bboxes.tolist() == [[0, 0, 10, 8]]
    assert sample.metainfo == dict(
        task='segmentation',
        img_id=3,
        img_path='a.png',
        ori_shape=(16, 20),
        img_shape=(8, 10),
        scale_factor=(0.5, 0.5),
        patient_id='p1',
        scan_id=None,
        instances=[dict(bbox=[2, 2, 8, 6])],
    )
    assert 'gt_slice' not in sample
    assert isinstance(results['gt_bboxes'], HorizontalBoxes) and 'scan_id' not in results


def test_classification():
    img = np.random.RandomState(0).rand(8, 10).astype(np.float32)
    packed = pack(dict(img=img[:, ::-1], task='classification', gt_slice_label=2, img_id=0, flip=True))
    assert packed['inputs'].dtype == torch.float32 and packed['inputs'].is_contiguous()
    assert np.array_equal(packed['inputs'].numpy(), img[None, :, ::-1])
    sample = packed['data_samples']
    assert sample.gt_slice.label.tolist() == [2] and sample.gt_slice.label.dtype == torch.long
    assert 'gt_instances' not in sample and 'ignored_instances' not in sample
    assert sample.to_dict()['gt_slice']['label'].tolist() == [2]
    assert sample.flip and sample.patient_id is None


def test_shared_pipeline_gives_classification_slices_no_lesions():
    results = lesions()
    results.update(task='classification', gt_slice_label=1)
    assert 'gt_instances' not in pack(results)['data_samples']


def test_without_ground_truth():
    packed = pack(dict(img=np.zeros((8, 10, 1), np.uint8), img_path=None))
    assert packed['inputs'].shape == (1, 8, 10)
    assert packed['data_samples'].task is None and packed['data_samples'].keys() == []


def test_meta_keys():
    sample = pack(lesions(), meta_keys=('img_id', 'patient_id'))['data_samples']
    assert sample.metainfo == dict(img_id=3, patient_id='p1')


def test_colour_has_three_channels():
    image = np.arange(240, dtype=np.uint8).reshape(8, 10, 3)
    assert np.array_equal(pack(dict(img=image))['inputs'].numpy(), image.transpose(2, 0, 1))
    with pytest.raises(ValueError, match=r'grayscale or colour image.*\(8, 10, 4\)'):
        pack(dict(img=np.zeros((8, 10, 4), np.uint8)))


def test_a_file_whose_size_differs_from_its_annotations():
    """LoadImageFromFile does not check the size; polygons of an image that was rotated or scaled since would be misplaced."""
    assert pack(dict(lesions(), height=16, width=20))['data_samples'].ori_shape == (16, 20)
    with pytest.raises(ValueError, match=r'a.png is 16 x 20 \(height x width\), but annotated as 20 x 16'):
        pack(dict(lesions(), height=20, width=16))
    cropped = pack(dict(lesions(), height=512, width=512, crop_box=(0, 0, 20, 16)))
    assert cropped['data_samples'].ori_shape == (16, 20)
