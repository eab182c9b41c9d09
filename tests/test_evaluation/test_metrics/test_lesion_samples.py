"""Masks are encoded once for both metrics, and several processes count every slice once."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from pycocotools import mask as coco_mask

from mmaffinity.evaluation.metrics.lesion_samples import lesion_instances, prediction_rles

# Five samples of both tasks; two processes take every other one, and the sampler pads the second with the first sample.
WORKER = """
import json
import numpy as np, torch
from mmengine.dist import get_dist_info
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.evaluator import Evaluator
from mmaffinity.evaluation.metrics import ImageAveragePrecision, LesionCocoMetric, SliceClassificationMetric
from mmaffinity.utils.run_lengths import encode_masks
from mmaffinity.structures import SliceDataSample

def lesion(found):
    mask = np.zeros((1, 16, 16), dtype=bool)
    mask[0, 3:9, 3:9] = True
    instances = [dict(bbox=[3, 3, 9, 9], bbox_label=0, mask=encode_masks(mask)[0], ignore_flag=0)]
    sample = SliceDataSample(metainfo=dict(task='segmentation', img_path=f'lesion{found}', ori_shape=(16, 16),
                                           instances=instances))
    sample.pred_instances = InstanceData(bboxes=torch.tensor([[3., 3, 9, 9]]), scores=torch.tensor([.5]),
                                         labels=torch.tensor([0]), masks=torch.from_numpy(mask))[:found]
    return sample

def labelled(label, pred):
    sample = SliceDataSample(metainfo=dict(task='classification', img_path=f'slice{label}{pred}'))
    sample.gt_slice = BaseDataElement(label=torch.tensor([label]))
    sample.pred_slice = BaseDataElement(label=torch.tensor([pred]), score=torch.tensor([.3, .6]))
    return sample

samples = [lesion(1), labelled(0, 0), labelled(1, 0), lesion(0), labelled(1, 1)]
torch.distributed.init_process_group('gloo')
rank, world = get_dist_info()
assert world == 2
evaluator = Evaluator([SliceClassificationMetric(class_names=('a', 'b')), ImageAveragePrecision(),
                       LesionCocoMetric(metric=['bbox', 'segm'])])
for index in (0, 1, 2, 3, 4, 0)[rank::world]:
    evaluator.process([samples[index]])
scores = evaluator.evaluate(5)
if rank == 0:
    classification, lesions, _ = evaluator.metrics
    print('RESULT', json.dumps([scores, *([record['img_path'] for record in records]
                                          for records in (classification.predictions, lesions.per_image))]))
torch.distributed.destroy_process_group()
"""


@pytest.mark.distributed
def test_two_processes_count_every_slice_once(repo_root, tmp_path):
    script = tmp_path / 'worker.py'
    script.write_text(WORKER)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    path = os.pathsep.join(filter(None, [str(repo_root), os.environ.get('PYTHONPATH')]))
    env = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1', WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    workers = [
        subprocess.Popen(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=dict(env, RANK=str(rank)),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]
    try:
        output = [worker.communicate(timeout=180)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()  # does nothing to one that has ended
    assert not any(worker.returncode for worker in workers), '\n'.join(output)
    (line,) = [line for line in output[0].splitlines() if line.startswith('RESULT')]
    scores, slices, lesions = json.loads(line[len('RESULT') :])
    assert slices == ['slice00', 'slice10', 'slice11'] and lesions == ['lesion1', 'lesion0']
    assert scores['slice/accuracy'] == 2 / 3
    assert scores['lesion/AP50'] == 0.5
    # One of two lesions found: precision 1 up to recall 0.5, that is at 51 of COCO's 101 recall points.
    assert abs(scores['coco/segm_mAP'] - 51 / 101) < 1e-12


def test_masks_are_encoded_once(monkeypatch):
    sample = dict(
        img_path='a.png', pred_instances=dict(scores=torch.tensor([0.5]), masks=torch.ones(1, 4, 4, dtype=torch.bool))
    )
    rles = prediction_rles(sample)
    assert coco_mask.decode(rles[0]).all()
    assert prediction_rles(sample) is rles


def test_ignored_instances():
    sample = dict(instances=[dict(ignore_flag=1), dict(ignore_flag=0), {}])
    assert len(lesion_instances(sample)) == 2
    assert len(lesion_instances(sample, ignored=True)) == 3
