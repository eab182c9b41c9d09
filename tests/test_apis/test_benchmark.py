"""The benchmark on a narrow model."""

import csv

import pytest
import torch
from model_helpers import FAST

from mmaffinity.apis.benchmark import JOBS, Benchmark, benchmark, format_rows
from mmaffinity.utils.timing import available_cores

pytestmark = pytest.mark.usefixtures('quick_unit')


@pytest.fixture(scope='module')
def config(repo_root):
    return repo_root / 'configs' / 'affinity_c8.py'


def test_rows_of_every_job(config):
    rows = list(benchmark(config, batch_sizes=(1, 2), objects=(3, 5), num_threads=(1,), runs=1, warmup=1, overrides=FAST))
    found = [(row['job'], row['batch_size'], row['objects']) for row in rows]
    assert found == [
        ('classification', 1, None),
        ('classification', 2, None),
        ('detection', 1, 3),
        ('detection', 2, 3),
        ('both', 1, 3),
        ('both', 2, 3),
        ('train', 1, None),
        ('data', 1, None),
        ('data', 2, None),
        ('detection', 1, 5),
        ('detection', 2, 5),
        ('both', 1, 5),
        ('both', 2, 5),
    ]
    for row in rows:
        assert row['seconds'] > 0 and row['threads'] == 1 and row['config'] == 'affinity_c8'
        assert row['slices_per_second'] == pytest.approx(row['batch_size'] / row['seconds'])
        assert row['peak_gflop_per_slice'] * row['slices_per_second'] == pytest.approx(row['peak_gflops'])
        assert (row['gflop_per_slice'] is None) == (row['job'] == 'data')
        assert row['layout'] == ('channels last' if row['job'] in ('classification', 'detection', 'both') else 'contiguous')
    gflop = {name: row['gflop_per_slice'] for name, row in zip(found, rows)}
    assert gflop['classification', 1, None] < gflop['both', 1, 3] < gflop['both', 1, 5] < gflop['train', 1, None]
    assert gflop['both', 1, 3] == pytest.approx(gflop['both', 2, 3], rel=0.05)  # folded weights are shared by a batch
    read = list(csv.DictReader(format_rows(rows).splitlines()))
    assert len(read) == len(rows) and {tuple(row) for row in rows} == {tuple(read[0])} and read[0]['objects'] == ''


def test_all_cores_are_used_by_default(config):
    before = torch.get_num_threads()
    torch.set_num_threads(available_cores() + 1)  # such as OMP_NUM_THREADS
    try:
        row = Benchmark(config, overrides=FAST).row('data', runs=1, warmup=0)
    finally:
        torch.set_num_threads(before)
    assert row['threads'] == available_cores()


def test_requested_number_of_objects_is_used(config):
    bench = Benchmark(config, objects=7, overrides=FAST)
    for sample in bench.job('both', 2)():
        assert len(sample.pred_instances) == 7 and 'pred_slice' in sample
    (sample,) = bench.job('classification')()
    assert 'pred_instances' not in sample


def test_training_steps_change_the_weights(config):
    bench = Benchmark(config, overrides={**FAST, 'optim_wrapper.optimizer.lr': 1e-3})
    before = {name: value.clone() for name, value in bench.model.state_dict().items()}
    bench.job('train')()
    moved = {
        name.split('.')[0] + '.' + name.split('.')[1]
        for name, value in bench.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert {'backbone.conv1', 'rpn_head.rpn_conv', 'roi_head.bbox_head', 'roi_head.cls_head'} <= moved


@pytest.mark.parametrize(
    'name, jobs',
    [
        ('baselines/resnet18_slice.py', ['train', 'data']),
        ('baselines/mask_rcnn_full.py', ['train', 'data']),
        ('baselines/covid_ct_mask_net.py', ['train', 'classification']),
    ],
)
def test_baselines(repo_root, name, jobs):
    rows = list(
        benchmark(
            repo_root / 'configs' / name,
            jobs=jobs,
            num_threads=(1,),
            runs=1,
            warmup=0,
            objects=(5,),
            overrides={'image_size': (64, 64)},
        )
    )
    assert [(row['job'], row['image_size']) for row in rows] == [(job, '64x64') for job in jobs]
    for row in rows:
        assert row['seconds'] > 0 and (row['job'] == 'data' or row['gflop_per_slice'] > 0.1)


def test_weights_from_a_checkpoint(config, tmp_path):
    bench = Benchmark(config, overrides=FAST)
    torch.save({'state_dict': bench.model.state_dict()}, tmp_path / 'model.pth')
    (row,) = benchmark(config, tmp_path / 'model.pth', ['data'], runs=1, warmup=0, overrides=FAST)
    assert row['checkpoint'] == 'model.pth'
    other = {**FAST, 'model.roi_head.cls_head.num_affinities': 16}
    with pytest.raises(ValueError, match='model.pth does not match the config .*num_affinities'):
        Benchmark(config, tmp_path / 'model.pth', overrides=other)


def test_bad_arguments(config, repo_root):
    with pytest.raises(ValueError, match='unknown: walk; the jobs are classification, '):
        next(benchmark(config, jobs=['walk']))
    with pytest.raises(ValueError, match="precision must be one of .*, not 'int8'"):
        Benchmark(config, precision='int8')
    with pytest.raises(ValueError, match='objects must be at least 1, not 0'):
        Benchmark(config, objects=0)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match='torch finds no GPU'):
            Benchmark(config, device='cuda')
    with pytest.raises(FileNotFoundError):
        Benchmark(repo_root / 'configs' / 'none.py')
    bench = Benchmark(repo_root / 'configs' / 'baselines' / 'resnet18_slice.py', overrides={'image_size': (64, 64)})
    with pytest.raises(ValueError, match='SliceClassifier has no prediction modes: only the jobs train and data'):
        bench.job('both')
    with pytest.raises(ValueError, match='a job must be one of'):
        bench.job('walk')
    assert set(JOBS) == {'classification', 'detection', 'both', 'train', 'data'}


def test_training_in_bfloat16_on_a_cpu_is_timed_as_amp_trains(config):
    """Parts of the model compute in bfloat16; the optimizer is the plain one."""
    bench = Benchmark(config, precision='bfloat16', overrides=FAST)
    bench.job('train')()
    assert all(module.forward.bfloat16 for module in (bench.model.backbone, bench.model.roi_head.mask_head))
    assert all(value.dtype == torch.float32 for value in bench.model.parameters())
