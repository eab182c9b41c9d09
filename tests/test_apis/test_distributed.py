"""Two processes on CPUs stay in step, equal a single process, and do not wait for a dead one."""

import copy
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import rank_watch  # noqa: F401  (registers the hook)
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from run_helpers import differences, run_pair, run_state, small_config

from mmaffinity.apis import test_model as evaluate_model
from mmaffinity.datasets.samplers import AlternatingBatchSampler, AlternatingSampler
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION

pytestmark = [pytest.mark.slow, pytest.mark.distributed]

SIZE, LR = 64, 0.01
BOXES = {'two_a': [(4, 6, 20, 22), (30, 30, 54, 50)], 'two_b': [(10, 34, 26, 60), (36, 8, 58, 20)], 'none': []}
LABELS = {'train': (0, 1, 2, 0, 1), 'test': (2, 1, 0, 0)}


def draw(path, boxes, random):
    grey = cv2.resize(random.randint(0, 120, (8, 8)).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    for x1, y1, x2, y2 in boxes:
        grey[y1:y2, x1:x2] = 220
    cv2.imwrite(str(path), grey)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    """Three lesion slices and five labelled ones to train on, three and four to test on: uneven for two processes."""
    root = tmp_path_factory.mktemp('distributed') / 'data'
    (root / 'annotations').mkdir(parents=True)
    random = np.random.RandomState(0)
    for split in ('train', 'test'):
        coco = dict(images=[], annotations=[], categories=[dict(id=1, name='lesion')])
        for number, (name, boxes) in enumerate(BOXES.items()):
            draw(root / f'{split}_{name}.png', boxes, random)
            coco['images'].append(dict(id=number, file_name=f'{split}_{name}.png', width=SIZE, height=SIZE))
            for x1, y1, x2, y2 in boxes:
                coco['annotations'].append(
                    dict(
                        id=len(coco['annotations']),
                        image_id=number,
                        category_id=1,
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        area=(x2 - x1) * (y2 - y1),
                        iscrowd=0,
                        segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]],
                    )
                )
        (root / f'annotations/lesions_{split}.json').write_text(json.dumps(coco))
        rows = []
        for number, label in enumerate(LABELS[split]):
            draw(root / f'{split}_{number}.png', BOXES['two_a'][:label], random)
            rows.append(dict(img_path=f'{split}_{number}.png', label=label))
        (root / f'annotations/slices_{split}.json').write_text(
            json.dumps(dict(metainfo=dict(slice_classes=['Normal', 'CP', 'COVID-19']), data_list=rows))
        )
    return root


def deal(dataset, seed, rank, world_size=2):
    """Batches of one epoch of one process."""
    sampler = AlternatingSampler(dataset, seed=seed)
    sampler.rank, sampler.world_size = rank, world_size
    return list(AlternatingBatchSampler(sampler, 1))


@pytest.fixture(scope='module')
def config(data_root, repo_root):
    """A config under which a step draws nothing at random, and every process' losses are means over as many numbers."""
    config = small_config(
        repo_root,
        data_root,
        **{
            'train_dataloader.batch_size': 1,
            'train_dataloader.dataset.datasets': [
                dict(type='LesionDataset', ann_file='annotations/lesions_train.json', data_root=str(data_root)),
                dict(type='SliceDataset', ann_file='annotations/slices_train.json', data_root=str(data_root)),
            ],
            'model.backbone.norm_eval': True,
            'model.data_preprocessor.mean': 0.3,
            'model.data_preprocessor.std': 0.3,
            'model.data_preprocessor.statistics': None,
            # All anchors and all proposals count, as positive or negative; only the lesions themselves are positive RoIs.
            'model.train_cfg.rpn.assigner.pos_iou_thr': 0.5,
            'model.train_cfg.rpn.assigner.neg_iou_thr': 0.5,
            'model.train_cfg.rpn.sampler.num': 10**6,
            'model.train_cfg.rcnn.sampler.num': 10**6,
            **{f'model.train_cfg.rcnn.assigner.{key}': 0.999 for key in ('pos_iou_thr', 'neg_iou_thr', 'min_pos_iou')},
        },
    )
    base = small_config(repo_root, data_root)
    for part, origin in zip(config.train_dataloader.dataset.datasets, base.train_dataloader.dataset.datasets):
        part.pipeline = origin.pipeline
    config.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=LR))
    config.param_scheduler = []
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    init_default_scope('mmdet')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    # First both processes draw different slices with two lesions, later the second one draws the slice without any.
    for seed in range(1000):
        first, second = (deal(dataset, seed, rank) for rank in range(2))
        pairs = [(a[0], b[0]) for a, b in zip(first[::2], second[::2])]
        if set(pairs[0]) == {0, 1} and any(a in (0, 1) and b == 2 for a, b in pairs[1:]):
            break
    else:
        raise AssertionError('no such seed')
    config.randomness = dict(seed=seed)
    config.custom_imports = dict(imports=['mmaffinity', 'rank_watch'], allow_failed_imports=False)
    config.custom_hooks = [dict(type='RankWatch')]
    start = data_root / 'start.pth'
    torch.manual_seed(1)
    model = MODELS.build(config.model)
    model.init_weights()
    with torch.no_grad():
        for head in (model.rpn_head.rpn_cls, model.roi_head.bbox_head.fc_cls):  # spread scores, so that no order is a tie
            head.weight.mul_(10)
    model.roi_head.copy_branch()
    torch.save(dict(state_dict=model.state_dict()), start)
    config.load_from = str(start)
    config.dump(data_root / 'two.py')
    return config


def torchrun(repo_root, script, *arguments, **environ):
    """One of the shell scripts, on two CPUs."""
    environ = {
        **os.environ,
        'PYTHON': sys.executable,
        'PYTHONPATH': str(repo_root / 'tests'),
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
        **environ,
    }
    return subprocess.run(
        [str(repo_root / 'tools' / script), *map(str, arguments)],
        env=environ,
        timeout=300,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=environ['WORK'],
    )


@pytest.fixture(scope='module')
def straight(config, data_root, repo_root):
    """Work folder of two epochs in two processes."""
    work_dir = data_root / 'straight'
    codes = run_pair(repo_root, 'tools/train.py', data_root / 'two.py', '--work-dir', work_dir)
    assert codes == [0, 0]
    return work_dir


def rows(work_dir):
    return [[json.loads(line) for line in (work_dir / f'rank_{rank}.jsonl').read_text().splitlines()] for rank in range(2)]


def test_processes_stay_in_step(straight, config):
    first, second = rows(straight)
    assert len(first) == len(second) == 2 * 2 * 3  # epochs, stages, ceil(5 slices / 2 processes)
    for number, (ours, theirs) in enumerate(zip(first, second)):
        assert ours['task'] == theirs['task'] == (SEGMENTATION, CLASSIFICATION)[number % 2]
        assert ours['weights'] == theirs['weights'] and ours['branch'] == theirs['branch'], number
        assert ours['copied'] and theirs['copied']
    assert len({row['weights'] for row in first}) == len(first), 'a step changed nothing'
    assert {path for row in first + second for path in row['slices'] if row['task'] == CLASSIFICATION} == {
        str(path) for path in (straight.parent / f'train_{number}.png' for number in range(5))
    }


def test_process_without_lesions_stays_in_step(straight):
    alone = [(ours, theirs) for ours, theirs in zip(*rows(straight)) if ours['lesions'] == [2] and theirs['lesions'] == [0]]
    assert alone, 'the case did not occur'


def test_gradients_equal_those_of_the_combined_batch(straight, config):
    """A single process takes the slices of both as one batch, with plain autograd and no runner."""
    dataset = DATASETS.build(config.train_dataloader.dataset)
    model = MODELS.build(config.model)
    model.load_state_dict(torch.load(config.load_from, weights_only=True)['state_dict'])
    model.train()
    dealt = [deal(dataset, config.randomness.seed, rank) for rank in range(2)]
    for step, stage in enumerate((SEGMENTATION, CLASSIFICATION)):
        two = torch.load(straight / f'after_step_{step + 1}.pt', weights_only=True)
        joined = gradients(model, stage, [dataset[part[step][0]] for part in dealt])
        alone = gradients(model, stage, [dataset[dealt[0][step][0]]])
        trained = {name for name, value in joined.items() if value is not None}
        assert trained and trained == {name for name, value in two['gradients'].items() if value is not None}
        # The bias before a BatchNorm has no gradient but rounding, so small ones are measured by the whole.
        whole = torch.stack([joined[name].norm() for name in trained]).norm()
        for name in trained:
            error, size = (two['gradients'][name] - joined[name]).norm(), joined[name].norm()
            assert error <= 1e-3 * size + 1e-6 * whole, (stage, name, error, size, whole)
        others = torch.stack([(alone[name] - joined[name]).norm() for name in trained]).norm()
        assert others > 0.05 * whole, 'the two slices are so much alike that this test shows nothing'
        for name, start in dict(model.named_parameters()).items():
            if name not in trained and 'classification_branch' not in name:
                assert torch.equal(start, two['weights'][name]), f'{name} moved in the {stage} stage'
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(two['weights'][name])


def gradients(model, stage, items):
    model.set_stage(stage)
    model.zero_grad()
    data = model.data_preprocessor(pseudo_collate(items), training=True)
    model.parse_losses(model.loss(**{'batch_inputs': data['inputs'], 'batch_data_samples': data['data_samples']}))[0].backward()
    return {name: None if value.grad is None else value.grad.clone() for name, value in model.named_parameters()}


@pytest.fixture(scope='module')
def died(config, data_root, repo_root):
    """The same with dist_train.sh; the second process dies in the second epoch."""
    work_dir = data_root / 'died'
    result = torchrun(
        repo_root, 'dist_train.sh', data_root / 'two.py', 2, '--work-dir', work_dir, RANK_WATCH_DIE='1:9', WORK=str(data_root)
    )
    return work_dir, result


def test_death_of_one_process_ends_the_others(died, straight):
    work_dir, result = died
    assert result.returncode not in (0, 124), result.stdout[-3000:]
    assert 'exitcode' in result.stdout and ': 7' in result.stdout
    assert [len(part) for part in rows(work_dir)] == [9, 9]
    assert not differences(run_state(straight / 'epoch_1.pth'), run_state(work_dir / 'epoch_1.pth'))


def test_surviving_checkpoint_can_be_resumed(died, straight, data_root, repo_root):
    work_dir = died[0]
    assert run_pair(repo_root, 'tools/train.py', data_root / 'two.py', '--work-dir', work_dir, '--resume') == [0, 0]
    assert not differences(run_state(straight / 'epoch_2.pth'), run_state(work_dir / 'epoch_2.pth'))


def test_nan_in_one_process_stops_both(config, straight, data_root, repo_root):
    """Only the second process has a NaN, in the classification stage; the message names its slice, and nothing hangs."""
    work_dir = data_root / 'spoiled'
    result = torchrun(
        repo_root, 'dist_train.sh', data_root / 'two.py', 2, '--work-dir', work_dir, RANK_WATCH_SPOIL='1:9', WORK=str(data_root)
    )
    assert result.returncode not in (0, 124), result.stdout[-3000:]
    message = next(line for line in result.stdout.splitlines() if 'training stopped at iteration 10 (epoch 2)' in line)
    dealt = rows(straight)[1][9]
    assert dealt['task'] == CLASSIFICATION and f'slices of the batch: {dealt["slices"][0]};' in message
    assert f'last good checkpoint: {work_dir / "epoch_1.pth"}' in message
    assert sorted(path.name for path in work_dir.glob('*.pth')) == ['epoch_1.pth']
    assert not differences(run_state(straight / 'epoch_1.pth'), run_state(work_dir / 'epoch_1.pth'))


def test_every_slice_is_tested_once(straight, config, data_root, repo_root):
    """Seven slices over two processes; the metrics and the records are those of one process."""
    result = torchrun(
        repo_root,
        'dist_test.sh',
        data_root / 'two.py',
        straight / 'epoch_2.pth',
        2,
        '--work-dir',
        data_root / 'tested',
        '--out',
        data_root / 'two.json',
        WORK=str(data_root),
    )
    assert result.returncode == 0, result.stdout[-3000:]
    metrics = evaluate_model(
        copy.deepcopy(config), straight / 'epoch_2.pth', work_dir=data_root / 'alone', out=data_root / 'one.json'
    )
    one, two = (json.loads((data_root / f'{name}.json').read_text()) for name in ('one', 'two'))
    assert two['metrics'] == pytest.approx(one['metrics']) and one['metrics'] == pytest.approx(metrics)
    assert len(two['slices']) == 4 and len(two['lesions']) == 3
    for key in ('slices', 'lesions'):
        for ours, theirs in zip(one[key], two[key]):
            assert ours.keys() == theirs.keys()
            for name, value in ours.items():  # slices are batched with others, which changes rounding
                assert theirs[name] == (pytest.approx(value, abs=1e-5) if isinstance(value, list) else value), name


@pytest.mark.parametrize(
    'script, arguments',
    [
        ('dist_train.sh', ['two.py']),
        ('dist_train.sh', ['two.py', '0']),
        ('dist_test.sh', ['two.py', 'epoch_1.pth']),
        ('dist_test.sh', ['two.py', 'epoch_1.pth', 'two']),
    ],
)
def test_scripts_reject_invalid_arguments(script, arguments, repo_root, tmp_path):
    result = torchrun(repo_root, script, *arguments, WORK=str(tmp_path))
    assert result.returncode == 2 and len(result.stdout.splitlines()) == 1
    assert 'PROCESSES' in result.stdout or 'number of processes' in result.stdout
