"""`test_evaluator` settings of MMDetection have the same meaning with LesionCocoMetric."""

import json

import numpy as np
import pytest
import torch
from coco_helpers import CLASSES, box_of, encode, evaluate, random_run, xywh
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmaffinity.evaluation.metrics import LesionCocoMetric
from mmaffinity.structures import SEGMENTATION, SliceDataSample


@pytest.fixture
def ann_file(tmp_path):
    path = tmp_path / 'lesions.json'
    path.write_text(json.dumps(random_run()[1]))
    return str(path)


def mmdetections(samples, **arguments):
    """The defined values of MMDetection's own class."""
    if 'iou_thrs' in arguments:
        arguments['iou_thrs'] = np.array(arguments['iou_thrs'])  # its evaluation of boxes fails on lists
    metric = CocoMetric(**arguments)
    metric.dataset_meta = dict(classes=CLASSES)
    scores = Evaluator(metric).offline_evaluate(samples)
    return {name: value for name, value in scores.items() if value > -1}


def square_sample(boxes, scores, lesions, labels=None, img_id=0, **metainfo):
    """Square lesions and detections; a mask is its box."""

    def masks(corners):
        grid = np.zeros((len(corners), 160, 120), dtype=bool)
        for mask, (x1, y1, x2, y2) in zip(grid, corners):
            mask[y1:y2, x1:x2] = True
        return grid

    instances = [dict(bbox=box, bbox_label=0, mask=encode(mask), ignore_flag=0) for box, mask in zip(lesions, masks(lesions))]
    sample = SliceDataSample(
        metainfo={
            **dict(task=SEGMENTATION, img_id=img_id, img_path='a.png', ori_shape=(160, 120), instances=instances),
            **metainfo,
        }
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores, dtype=torch.float32),
        labels=torch.zeros(len(boxes), dtype=torch.long) if labels is None else torch.tensor(labels),
        masks=torch.from_numpy(masks(boxes)),
    )
    return sample


def test_is_mmdetections_class():
    metric = LesionCocoMetric()
    assert isinstance(metric, CocoMetric)
    assert (metric.metrics, metric.prefix, metric.proposal_nums) == (['bbox'], 'coco', [100, 300, 1000])
    assert metric.iou_thrs.tolist() == pytest.approx(np.arange(0.5, 1, 0.05))


@pytest.mark.parametrize(
    'arguments',
    [
        dict(),
        dict(metric='segm'),
        dict(metric=['segm', 'bbox'], classwise=True),
        dict(metric='bbox', iou_thrs=[0.3, 0.5, 0.6]),
        dict(metric='bbox', metric_items=['mAP_75', 'mAP_l', 'AR@100', 'AR_m@1000']),
        dict(metric='segm', metric_items=[]),
        dict(metric='proposal'),
        dict(metric=['proposal', 'segm']),
        dict(metric='bbox', prefix='test', collect_device='cpu', backend_args=dict(backend='local')),
        dict(metric='bbox', use_mp_eval=True, sort_categories=True),
    ],
    ids=str,
)
@pytest.mark.parametrize('from_file', [True, False], ids=['ann_file', 'samples'])
def test_equals_mmdetections_class(arguments, from_file, ann_file):
    samples = random_run()[0]
    if from_file:
        arguments = {**arguments, 'ann_file': ann_file}
    expected = mmdetections(samples, **arguments)
    scores = evaluate(samples, **{'metric': 'bbox', **arguments}, classes=CLASSES)
    assert set(scores) == set(expected)
    assert scores == pytest.approx(expected, abs=0.00051)
    assert not expected or 0 < max(scores.values()) < 1


@pytest.mark.parametrize('backend', ['pycocotools', 'auto'])
def test_proposals_of_any_number(backend):
    """Two lesions, of which the first and the third box find one each."""
    sample = square_sample(
        [[0, 0, 20, 20], [60, 60, 70, 70], [40, 40, 80, 80]], [0.9, 0.8, 0.7], [[0, 0, 20, 20], [40, 40, 80, 80]]
    )
    scores = evaluate([sample], 'proposal', proposal_nums=(1, 3), backend=backend)
    assert scores == pytest.approx({'coco/AR@1': 0.5, 'coco/AR@3': 1, 'coco/AR_s@3': 1, 'coco/AR_m@3': 1})


def test_fast_proposals_of_slices_with_different_numbers_of_boxes(ann_file):
    found = square_sample([[0, 0, 20, 20], [40, 40, 80, 80]], [0.3, 0.6], [[0, 0, 20, 20], [40, 40, 80, 80]])
    missed = square_sample([], [], [[0, 0, 20, 20]], img_id=1)
    scores = evaluate([found, missed], 'proposal_fast', proposal_nums=(1, 2))
    assert scores == pytest.approx({'coco/AR@1': 1 / 3, 'coco/AR@2': 2 / 3})


def test_fast_proposals_rank_boxes_by_score():
    sample = square_sample([[90, 90, 99, 99], [0, 0, 20, 20]], [0.3, 0.6], [[0, 0, 20, 20]])
    assert evaluate([sample], 'proposal_fast', proposal_nums=(1,), iou_thrs=0.5) == {'coco/AR@1': 1}


def test_fast_proposals_are_paired_by_image(ann_file):
    samples = random_run()[0]
    expected = evaluate(samples, 'proposal_fast', ann_file=ann_file, classes=CLASSES)
    assert 0 < expected['coco/AR@100'] < 1
    assert evaluate(samples[::-1], 'proposal_fast', ann_file=ann_file, classes=CLASSES) == pytest.approx(expected)
    assert evaluate(samples, 'proposal_fast', classes=CLASSES) == pytest.approx(expected)
    found = evaluate(samples[:3], 'proposal_fast', ann_file=ann_file, classes=CLASSES)
    assert 0 < found['coco/AR@100'] < expected['coco/AR@100']  # the file's other lesions were not found


@pytest.mark.parametrize('metric', ['proposal', 'proposal_fast'])
def test_no_lesions_give_no_recalls(metric, log):
    assert evaluate([square_sample([[0, 0, 9, 9]], [0.5], [])], metric) == {}
    assert 'no annotated lesions' in log[-1]


def test_precision_counts_a_hundred_detections():
    boxes = [[0, 0, 9, 9]] * 100 + [[40, 40, 80, 80]]
    sample = square_sample(boxes, np.linspace(0.9, 0.1, 101), [[40, 40, 80, 80]])
    scores = evaluate([sample], 'bbox', metric_items=['mAP', 'mAP_50', 'mAP_m', 'AR@100', 'AR@300'])
    assert scores == {
        'coco/bbox_mAP': 0,
        'coco/bbox_mAP_50': 0,
        'coco/bbox_mAP_m': 0,
        'coco/bbox_AR@100': 0,
        'coco/bbox_AR@300': 1,
    }


def test_undefined_values_have_no_entry():
    sample = square_sample([[0, 0, 20, 20]], [0.9], [[0, 0, 20, 20]])
    scores = evaluate([sample], 'bbox', classes=CLASSES, classwise=True, iou_thrs=0.5)
    assert scores == pytest.approx(
        dict.fromkeys(['coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP_s', 'coco/class 0_precision'], 1)
    )


def test_classwise_table(ann_file, log):
    samples = random_run()[0]
    scores = evaluate(samples, 'segm', ann_file=ann_file, classes=CLASSES, classwise=True)
    rows = [line.split('  ') for line in log[-1].splitlines() if line.startswith('segm')]
    assert [row[0].strip() for row in rows] == ['segm', 'segm of class 0', 'segm of class 1']
    assert f'{scores["coco/class 1_precision"]:.3f}' in rows[2]
    assert scores['coco/segm_mAP'] == pytest.approx((scores['coco/class 0_precision'] + scores['coco/class 1_precision']) / 2)


def test_outfile_prefix(tmp_path):
    samples, ground_truth, results = random_run()
    evaluate(samples, classes=CLASSES, outfile_prefix=str(tmp_path / 'deep' / 'run'))
    truth, boxes, masks = (json.loads((tmp_path / 'deep' / f'run.{kind}.json').read_text()) for kind in ('gt', 'bbox', 'segm'))
    assert [image['id'] for image in truth['images']] == [image['id'] for image in ground_truth['images']]
    assert [category['name'] for category in truth['categories']] == list(CLASSES)
    assert [entry['segmentation'] for entry in truth['annotations']] == [
        entry['segmentation'] for entry in ground_truth['annotations']
    ]
    assert masks == results
    assert boxes == [{key: value for key, value in entry.items() if key != 'segmentation'} for entry in results]


def test_format_only(tmp_path, ann_file, log):
    samples, _, results = random_run()
    for sample in samples:
        sample.set_field(None, 'instances', field_type='metainfo')  # test sets without published lesions
    assert (
        evaluate(samples, 'bbox', ann_file=ann_file, classes=CLASSES, format_only=True, outfile_prefix=str(tmp_path / 'run'))
        == {}
    )
    assert json.loads((tmp_path / 'run.segm.json').read_text()) == results
    assert log == [f'results are saved in {tmp_path}']
    with pytest.raises(AssertionError, match='outfile_prefix'):
        LesionCocoMetric(format_only=True)


def test_masks_with_scores_of_their_own():
    sample = square_sample([[0, 0, 20, 20], [40, 40, 80, 80]], [0.9, 0.8], [[40, 40, 80, 80]])
    sample.pred_instances.mask_scores = torch.tensor([0.1, 0.8])
    scores = evaluate([sample])
    assert (scores['coco/bbox_mAP'], scores['coco/segm_mAP']) == pytest.approx((0.5, 1))


def test_area_is_that_of_the_mask():
    """A line through a box of 40 by 40 pixels is a small lesion."""
    mask = np.zeros((160, 120), dtype=bool)
    mask[np.arange(40), np.arange(40)] = True
    sample = square_sample([[0, 0, 40, 40]], [0.9], [[0, 0, 40, 40]])
    sample.set_field(
        [dict(bbox=box_of(mask), bbox_label=0, mask=encode(mask), ignore_flag=0)], 'instances', field_type='metainfo'
    )
    sample.pred_instances.masks = torch.from_numpy(mask[None])
    assert evaluate([sample], 'segm').keys() == {f'coco/segm_mAP{name}' for name in ('', '_50', '_75', '_s')}


def test_samples_of_mmdetections_data_sets():
    sample = square_sample([[0, 0, 20, 20]], [0.9], [[0, 0, 20, 20]], task=None)
    assert evaluate([sample], 'segm')['coco/segm_mAP'] == pytest.approx(1)


def test_slices_of_the_last_evaluation_are_forgotten():
    first, second = ([square_sample([box], [0.9], [box])] for box in ([0, 0, 20, 20], [40, 40, 80, 80]))
    evaluator = Evaluator(LesionCocoMetric())
    assert evaluator.offline_evaluate(first).keys() ^ evaluator.offline_evaluate(second).keys() == {
        'coco/bbox_mAP_s',
        'coco/bbox_mAP_m',
    }
    assert evaluator.offline_evaluate(second)['coco/bbox_mAP'] == pytest.approx(1)


def two_class_file(tmp_path, names=('b', 'a')):
    """A file that lists its categories in the order b, a; the only lesion is an a."""
    path = tmp_path / 'classes.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=0, width=120, height=160)],
                categories=[dict(id=number, name=name) for number, name in enumerate(names, start=7)],
                annotations=[dict(id=1, image_id=0, category_id=8, bbox=xywh([0, 0, 20, 20]))],
            )
        )
    )
    return str(path)


@pytest.mark.parametrize('task, label', [(SEGMENTATION, 0), (None, 1)])
def test_labels_follow_the_class_order_of_their_data_set(tmp_path, task, label):
    """LesionDataset numbers labels as its classes, CocoDataset as the file."""
    sample = square_sample([[0, 0, 20, 20]], [0.9], [], labels=[label], task=task)
    scores = evaluate(
        [sample], 'bbox', ann_file=two_class_file(tmp_path), classes=('a', 'b'), classwise=True, backend='pycocotools'
    )
    assert [scores[f'coco/{name}'] for name in ('a_precision', 'bbox_mAP', 'bbox_mAP_s')] == pytest.approx([1, 1, 1])
    assert 'coco/b_precision' not in scores


@pytest.mark.parametrize(
    'samples, names, match',
    [
        ([dict(img_id=4)], 'ba', 'no images with the IDs 4'),
        ([dict(), dict()], 'ba', 'tested slices share an img_id'),
        ([dict()], 'bc', r"its categories do not include all of \['a', 'b'\]"),
        ([dict(labels=[2])], 'ba', 'label 2 was predicted'),
    ],
)
def test_annotation_file_of_other_data(tmp_path, samples, names, match):
    samples = [square_sample([[0, 0, 20, 20]], [0.9], [], **metainfo) for metainfo in samples]
    with pytest.raises(ValueError, match=f'classes.json does not match the tested slices: .*{match}.*leave it out'):
        evaluate(samples, 'bbox', ann_file=two_class_file(tmp_path, names), classes=('a', 'b'))


def test_annotation_file_without_masks(tmp_path):
    sample = square_sample([[0, 0, 20, 20]], [0.9], [])
    with pytest.raises(ValueError, match='annotation 1 .*no "segmentation"'):
        evaluate([sample], 'segm', ann_file=two_class_file(tmp_path), classes=('a', 'b'))


def test_a_detection_on_a_slice_of_the_same_id_finds_nothing():
    box = [0, 0, 20, 20]
    scores = evaluate(
        [square_sample([], [], [box], img_id=5), square_sample([box], [0.9], [], img_id=5)],
        ('bbox', 'proposal', 'proposal_fast'),
    )
    assert scores['coco/bbox_mAP'] == scores['coco/AR@100'] == 0


@pytest.mark.parametrize('ids', [('a', 3), (None, None), (5, 5)])
def test_samples_with_ids_of_any_kind(ids):
    samples = [
        square_sample([[0, 0, 20, 20]] * found, [0.9] * found, [[0, 0, 20, 20]], img_id=img_id)
        for found, img_id in enumerate(ids)
    ]
    assert evaluate(samples)['coco/segm_mAP'] == pytest.approx(51 / 101)  # recall 0.5 of COCO's 101 recall levels


@pytest.mark.parametrize(
    'arguments, error, match',
    [
        (dict(metric_items=['mAP_90']), KeyError, "metric item 'mAP_90' is unknown; choose from .*mAP_75"),
        (dict(metric_items=['AR@1000'], proposal_nums=(1, 10)), KeyError, 'AR@1000.*AR@10'),
        (dict(file_client_args=dict(backend='disk')), RuntimeError, 'backend_args'),
        (dict(use_mp_eval=True, backend='faster-coco-eval'), ValueError, 'use_mp_eval=True works with pycocotools only'),
        (dict(ann_file='missing.json'), FileNotFoundError, 'missing.json'),
    ],
)
def test_invalid_arguments_are_rejected(arguments, error, match):
    with pytest.raises(error, match=match):
        LesionCocoMetric(**arguments)
