"""Agreement of a model's forms and backends, as a user measures it."""

import numpy as np
import pytest
import torch
from model_helpers import allow_float64
from scan_helpers import write_images

from mmaffinity.apis import agreement
from mmaffinity.apis.agreement import compare, format_agreement, measure_agreement
from mmaffinity.apis.variants import Predictions, Variant, default_variants
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.runtime import BACKENDS, is_installed
from mmaffinity.utils.config import load_config


@pytest.fixture(scope='module')
def slices(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('slices') / 'in', 5)


def predictions(boxes, probabilities=((0.9, 0.2),), weights=None):
    boxes = np.array(boxes, dtype=float)
    probabilities = np.array(probabilities)
    used = np.ones(boxes.shape[:2], bool) if weights is None else np.array(weights) >= 0.01
    return Predictions(
        [f's{i}' for i in range(len(boxes))], probabilities, probabilities.argmax(1), boxes, np.full(boxes.shape[:2], 0.7), used
    )


def test_differences_match_hand_computed_values():
    reference = predictions([[[0, 0, 10, 10], [20, 20, 40, 40], [5, 5, 9, 9]]], weights=[[0.5, 0.5, 0.0]])
    # The same boxes in another order, one a little off; RoIs without weight do not count.
    other = predictions([[[20, 20, 40.5, 40], [0, 0, 10, 10], [60, 60, 70, 70]]], [[0.895, 0.2]], [[0.5, 0.5, 0.001]])
    found = compare(other, reference)
    assert found.moved.tolist() == [0.5] and found.changed == [[]] and not found.label.any()
    assert found.probability.tolist() == pytest.approx([0.005])
    # One RoI replaced by a distant one, and another class.
    found = compare(predictions([[[0, 0, 10, 10], [50, 20, 70, 40], [5, 5, 9, 9]]], [[0.4, 0.5]]), reference)
    assert found.changed == [[1]] and found.label.tolist() == [True] and found.moved.tolist() == [30.0]
    with pytest.raises(ValueError, match='different slices'):
        compare(predictions([[[0, 0, 1, 1]], [[0, 0, 1, 1]]], [[0.1, 0.2]] * 2), reference)


def test_a_model_agrees_with_itself_up_to_rounding(model, slices, monkeypatch):
    allow_float64(monkeypatch)
    variants = [
        Variant('float64', dtype='float64'),
        Variant('1 thread'),
        Variant('batches of 2', batch_size=2),
        Variant('other process', environment={'ATEN_CPU_CAPABILITY': 'default'}),
        Variant('noise', noise=0.1, seed=3),
    ]
    messages = []
    found = measure_agreement(*model, [slices], variants, max_slices=3, progress=messages.append)
    assert messages == [variant.name for variant in variants] and found['slices'] == 3
    largest = {row['name']: max(row[key]['max'] for key in ('with_lesions', 'without')) for row in found['variants']}
    assert 0 < largest['1 thread'] < 1e-3 < largest['noise']
    assert all(row['with_lesions']['slices'] + row['without']['slices'] == 3 for row in found['variants'])
    noisy = found['variants'][-1]
    changes = [entry['probability_change'] for entry in noisy['worst']]
    assert changes == sorted(changes, reverse=True) and changes[0] == pytest.approx(largest['noise'])
    assert any(entry['changed_rois'] and len(entry['changed_boxes']) == len(entry['changed_rois']) for entry in noisy['worst'])
    text = format_agreement(found)
    assert 'Worst slices' in text and 'other process' in text and noisy['worst'][0]['slice'] in text


@pytest.mark.parametrize('slice_roi', [False, True])
def test_the_whole_slice_is_not_a_lesion(monkeypatch, slice_roi):
    """Its score is 1 in every slice."""
    found = predictions([[[0, 0, 10, 10], [0, 0, 64, 64]]] * 2, [[0.9, 0.2]] * 2)
    found.scores[:] = [[0.6, 1.0], [0.1, 1.0]]
    monkeypatch.setattr(agreement, 'predictions_of', lambda *args: found)
    name = 'affinity_c8_slice_roi_from_scratch' if slice_roi else 'affinity_c8_from_scratch'
    result = measure_agreement(f'public/{name}', 'a.pth', [], [Variant('float64'), Variant('1 thread')])
    assert result['with_lesions'] == (1 if slice_roi else 2)


def test_an_exported_model(exported, slices, model, monkeypatch):
    """In every installed runtime; the file must come from the same checkpoint."""
    allow_float64(monkeypatch)
    config, checkpoint, file = exported
    variants = [
        variant
        for variant in default_variants(load_config(config), seeds=0, cuda=False, exported=file)
        if variant.dtype == 'float64' or variant.exported
    ]
    if len(variants) == 1:
        pytest.skip('neither onnxruntime nor openvino is installed')
    found = measure_agreement(config, checkpoint, [slices], variants, max_slices=3)
    assert {row['name'] for row in found['variants']} - set(BACKENDS) <= {'openvino, bfloat16'}
    for row in found['variants']:
        assert row['name'].startswith(row['backend'])
        assert 0 < max(row[key]['max'] for key in ('with_lesions', 'without')) < (0.1 if 'bfloat16' in row['name'] else 1e-3)
    other = checkpoint.with_name('other.pth')
    other.write_bytes(model[1].read_bytes())
    weights = load_checkpoint(other)
    weights['meta']['note'] = 'another file'
    torch.save(weights, other)
    with pytest.raises(ValueError, match='was exported from another checkpoint .*: export this one'):
        measure_agreement(config, other, [slices], [*variants[1:], Variant('1 thread')], max_slices=1)


def test_a_fallback(exported, exported_int8, slices, monkeypatch):
    """A variant for each runtime; with the widest margin, every slice is repeated, and float32 decides."""
    allow_float64(monkeypatch)
    config, checkpoint, file = exported
    variants = default_variants(
        load_config(config), seeds=0, cuda=False, exported=exported_int8, fallback=file, fallback_margin=1.0
    )
    names = [variant.name for variant in variants if variant.exported]
    runtimes = [name for name in BACKENDS if is_installed(name)]
    assert names == [*runtimes, *(f'{name}, fallback' for name in runtimes)]
    assert variants[-1].fallback_margin == 1
    defaults = default_variants(load_config(config), exported=exported_int8, fallback=file)
    assert defaults[-1].fallback_margin == 0.6  # the JSON records the margin that was used
    chosen = [variants[0], *(variant for variant in variants if variant.backend == 'onnxruntime')]
    found = measure_agreement(config, checkpoint, [slices], chosen, max_slices=3)
    without, repeated = found['variants']
    assert (without['repeated'], repeated['repeated']) == (0, 3)
    changes = [max(row[key]['max'] for key in ('with_lesions', 'without')) for row in (without, repeated)]
    assert changes[1] < 1e-3 < changes[0]
    assert 'onnxruntime, fallback: 3 of 3 slices undecided and predicted again in float32' in format_agreement(found)


def test_an_unsuitable_fallback_is_an_error_before_anything_is_predicted(exported, exported_int8, tmp_path, monkeypatch):
    config = load_config(exported[0])
    with pytest.raises(FileNotFoundError, match='missing.onnx'):
        default_variants(config, exported=exported_int8, fallback=tmp_path / 'missing.onnx')
    with pytest.raises(ValueError, match='fallback_margin must be above 0 and at most 1, not -3'):
        default_variants(config, exported=exported_int8, fallback=exported[2], fallback_margin=-3)
    monkeypatch.setattr('mmaffinity.apis.variants.has_bfloat16', lambda: False)
    with pytest.raises(ValueError, match='the fallback has no effect: this machine runs the exported model only in float32'):
        default_variants(config, exported=exported[2], fallback=exported[2])


def test_comparison_without_slices_is_an_error(model, slices, tmp_path, monkeypatch):
    allow_float64(monkeypatch)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no slice could be read from'):
        measure_agreement(*model, [tmp_path / 'empty'], [Variant('1 thread'), Variant('2 threads', num_threads=2)])
    messages = []
    with pytest.raises(ValueError, match='nothing to compare with 1 thread: give at least one more variant'):
        measure_agreement(*model, [slices], [Variant('1 thread')], max_slices=1, progress=messages.append)
    assert not messages  # nothing was predicted first
