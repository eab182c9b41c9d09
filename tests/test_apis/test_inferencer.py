"""Prediction from Python."""

import hashlib

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from scan_helpers import chest, chest_volume, to_grey, write_images, write_nifti, write_series

from mmaffinity.apis import AffinityInferencer, predict_to_folder
from mmaffinity.scans import ReadOptions, Window
from mmaffinity.structures import SliceDataSample
from mmaffinity.utils.config import load_config
from mmaffinity.utils.prediction_pipeline import prediction_transforms
from mmaffinity.utils.provenance import config_hash


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope='module')
def inferencer(model):
    return AffinityInferencer(*model, device='cpu', batch_size=3)


def assert_same(first, second, tolerance=0.0):
    """Two predictions are equal: probabilities, lesions, masks."""
    for name in ('score', 'logits', 'roi_boxes', 'affinity'):
        one, other = getattr(first.sample.pred_slice, name), getattr(second.sample.pred_slice, name)
        assert (one - other).abs().max() <= tolerance * max(1.0, float(other.abs().max())), name
    ours, theirs = first.sample.pred_instances, second.sample.pred_instances
    assert len(ours) == len(theirs)
    assert torch.allclose(ours.scores, theirs.scores, rtol=0, atol=tolerance)
    assert torch.allclose(ours.bboxes, theirs.bboxes, rtol=0, atol=100 * tolerance)
    assert tolerance or torch.equal(ours.masks, theirs.masks)


def test_bfloat16(model, inferencer, tmp_path):
    """Results are float32 and can be measured and written; values are equal up to the precision."""
    mixed = AffinityInferencer(*model, device='cpu', precision='bfloat16')
    (prediction,) = mixed(to_grey(chest()))
    values = [
        value
        for part in (prediction.sample.pred_slice, prediction.sample.pred_instances)
        for value in part.values()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    ]
    assert len(values) > 5 and {value.dtype for value in values} == {torch.float32}
    assert mixed.description['precision'] == 'bfloat16' and 'precision' not in inferencer.description
    report = predict_to_folder(mixed, write_images(tmp_path / 'in', 2), tmp_path / 'out')
    assert report.scans[0].num_predicted == 2 and not report.problems


def test_equals_a_direct_call_of_the_model(inferencer):
    """The same slice prepared by hand: resized by OpenCV, one batch of one."""
    grey = to_grey(chest())
    resized = cv2.resize(grey, (128, 128), interpolation=cv2.INTER_LINEAR)
    sample = SliceDataSample(
        metainfo=dict(
            task='classification', img_shape=(128, 128), ori_shape=(64, 64), scale_factor=(2.0, 2.0), img_id=0, img_path='x'
        )
    )
    with torch.no_grad():
        (expected,) = inferencer.model.test_step(dict(inputs=[torch.from_numpy(resized)[None]], data_samples=[sample]))
    (prediction,) = inferencer(grey)
    assert torch.equal(prediction.sample.pred_slice.score, expected.pred_slice.score)
    assert torch.equal(prediction.sample.pred_instances.masks, expected.pred_instances.masks)


def test_prediction_does_not_depend_on_the_batch(model, inferencer):
    arrays = [to_grey(chest(index, size)) for index, size in ((0, 64), (3, 80), (1, 64), (5, 96), (2, 64))]
    together = list(AffinityInferencer(*model, device='cpu', batch_size=5)(arrays))
    alone = [next(iter(AffinityInferencer(*model, device='cpu', batch_size=1)([array]))) for array in arrays]
    in_threes = list(inferencer(arrays))
    for one, many, three in zip(alone, together, in_threes):
        assert one.label == many.label == three.label
        assert_same(one, many, 1e-4)
        assert_same(one, three, 1e-4)


def test_all_input_types_give_equal_predictions(tmp_path, inferencer):
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    write_images(tmp_path / 'png')
    write_series(tmp_path / 'dcm')
    write_nifti(tmp_path / 'v.nii.gz', chest_volume())
    expected = list(inferencer([to_grey(chest(index)) for index in range(3)]))
    for path in (tmp_path / 'png', tmp_path / 'dcm', tmp_path / 'v.nii.gz'):
        predictions = list(inferencer(path))
        assert len(predictions) == 3
        for one, other in zip(expected, predictions):
            assert_same(one, other)
    whole_folder = list(inferencer(tmp_path))
    assert len(whole_folder) == 9 and {item.scan.kind for item in whole_folder} == {'images', 'dicom', 'nifti'}


def test_window_can_be_set(tmp_path, model, inferencer):
    pytest.importorskip('pydicom')
    folder = write_series(tmp_path, 1)
    other = AffinityInferencer(*model, device='cpu', options=ReadOptions(Window(40, 400)))
    (prediction,) = other(folder)
    assert np.array_equal(prediction.slice.grey, to_grey(chest(), 40, 400))
    assert_same(prediction, next(iter(inferencer([to_grey(chest(), 40, 400)]))))


def test_description_identifies_the_model(model, inferencer):
    config, checkpoint = model
    described = inferencer.description
    assert described['checkpoint_sha256'] == digest(checkpoint) and len(described['config_sha256']) == 64
    assert described['slice_classes'] == ['Normal', 'CP', 'COVID-19'] and described['config'].endswith('narrow.py')
    changed = load_config(config, {'model.roi_head.cls_head.num_affinities': 16})
    assert config_hash(changed) != described['config_sha256'] == config_hash(load_config(config))


def test_class_names_of_the_checkpoint_take_precedence(tmp_path, model):
    content = torch.load(model[1], weights_only=True)
    content['meta'] = {'dataset_meta': {'slice_classes': ('a', 'b', 'c'), 'classes': ('spot',)}}
    torch.save(content, tmp_path / 'named.pth')
    (prediction,) = AffinityInferencer(model[0], tmp_path / 'named.pth', device='cpu')(to_grey(chest()))
    assert list(prediction.probabilities) == ['a', 'b', 'c'] and prediction.lesion_classes == ('spot',)
    named = AffinityInferencer(model[0], model[1], device='cpu', cfg_options={'slice_classes': ('x', 'y')})
    with pytest.raises(ValueError, match=r'3 slice classes but 2 class names \(x, y\): set slice_classes'):
        list(named(to_grey(chest())))


def test_config_object_with_overrides(model):
    config = Config.fromfile(model[0])
    inferencer = AffinityInferencer(config, model[1], device='cpu', cfg_options={'image_size': (96, 96)})
    assert prediction_transforms(inferencer.cfg)[1]['scale'] == (96, 96) and '(96, 96)' not in str(config.test_dataloader)
    assert len(list(inferencer(to_grey(chest())))) == 1


def test_invalid_arguments(tmp_path, model):
    config, checkpoint = model
    with pytest.raises(FileNotFoundError, match='absent.py'):
        AffinityInferencer(tmp_path / 'absent.py', checkpoint)
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        AffinityInferencer(config, tmp_path / 'absent.pth')
    with pytest.raises(ValueError, match='batch_size must be at least 1, not 0'):
        AffinityInferencer(config, checkpoint, batch_size=0)
    with pytest.raises(ValueError, match=r'does not match the config.*C\* \(num_affinities\) is 8 in'):
        AffinityInferencer(config, checkpoint, cfg_options={'model.roi_head.cls_head.num_affinities': 16})
    torch.save({'model': {'x': torch.zeros(1)}}, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='contains no weights of this package'):
        AffinityInferencer(config, tmp_path / 'foreign.pth')
    bare = Config.fromfile(config)
    bare.test_dataloader = bare.val_dataloader = None
    with pytest.raises(ValueError, match='no test data set'):
        AffinityInferencer(bare, checkpoint)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
@pytest.mark.parametrize('device', ['cuda', 'gpu', '0', 0, 'cuda:7'])
def test_missing_gpu_is_reported(model, device):
    with pytest.raises(ValueError, match='torch finds no GPU'):
        AffinityInferencer(*model, device=device)


@pytest.mark.parametrize('device', ['mps', 'nonsense'])
def test_unsupported_devices_are_rejected(model, device):
    with pytest.raises(ValueError, match=f'device {device!r} is not supported'):
        AffinityInferencer(*model, device=device)


def test_checkpoint_with_code_is_rejected(tmp_path, model):
    class Evil:
        def __reduce__(self):
            return print, ('it ran',)

    torch.save({'state_dict': {}, 'x': Evil()}, tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='was not loaded'):
        AffinityInferencer(model[0], tmp_path / 'evil.pth')


def test_weights_that_are_not_finite_are_an_error(tmp_path, model):
    content = torch.load(model[1], weights_only=True)
    content['state_dict']['roi_head.cls_head.classifier.4.bias'] += float('nan')
    torch.save(content, tmp_path / 'nan.pth')
    with pytest.raises(ValueError, match='weights are not finite'):
        list(AffinityInferencer(model[0], tmp_path / 'nan.pth', device='cpu')(to_grey(chest())))


def test_real_scan_as_jpeg_dicom_and_nifti(shared_dir, tmp_path, inferencer, model):
    """With a window that maps the values back to 0..255, all three must agree on a few slices."""
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    from scan_helpers import dicom_slice, save_dicom

    paths = sorted((shared_dir / 'data' / 'ct_scan').glob('*.jpg'))[5:50:15]
    greys = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    # The apex comes first on disk, so the first slice is the highest.
    for index, grey in enumerate(greys):
        save_dicom(tmp_path / 'dcm' / f'{index}.dcm', dicom_slice(grey.astype(np.int16) * 5 - 1000, len(greys) - index))
    volume = np.stack([grey[::-1].T for grey in greys[::-1]], axis=2).astype(np.int16) * 5 - 1000
    write_nifti(tmp_path / 'v.nii.gz', volume)
    identity = AffinityInferencer(*model, device='cpu', batch_size=3, options=ReadOptions(Window(-362.5, 1275)))
    jpeg = list(inferencer(paths))
    dicom, nifti = list(identity(tmp_path / 'dcm'))[::-1], list(identity(tmp_path / 'v.nii.gz'))[::-1]
    assert len(jpeg) == len(dicom) == len(nifti) == 3
    for first, second, third in zip(jpeg, dicom, nifti):
        assert np.array_equal(first.slice.grey, second.slice.grey)
        assert np.array_equal(first.slice.grey, third.slice.grey)
        assert_same(first, second, 1e-4)
        assert_same(first, third, 1e-4)


def test_real_collected_slices_are_predicted(shared_dir, inferencer):
    predictions = list(inferencer(shared_dir / 'data' / 'ct_slices' / 'NonCOVID'))
    assert len(predictions) == 15
    for prediction in predictions:
        assert prediction.sample.pred_instances.masks.shape[1:] == prediction.slice.grey.shape
