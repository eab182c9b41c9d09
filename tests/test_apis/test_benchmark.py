"""The benchmark on a narrow model."""

import csv
import functools
import runpy
import sys

import pytest
import torch
from model_helpers import NARROW, build_model

from mmaffinity.apis.ablation import ABLATIONS, TRAINING, ablate
from mmaffinity.apis.benchmark import COLUMNS, JOBS, Benchmark, benchmark, format_rows
from mmaffinity.apis.growth import GROWTH, growth_exponent, measure_growth
from mmaffinity.utils.timing import available_cores
from mmaffinity_cli import main

FAST = {
    **{f'model.{key}': value for key, value in NARROW.items()},
    'image_size': (64, 64),
    'model.train_cfg.rcnn.sampler.num': 16,
    'model.test_cfg.rpn.max_per_img': 30,
    'model.train_cfg.rpn_proposal.max_per_img': 30,
}


@pytest.fixture(scope='module')
def config(repo_root):
    return repo_root / 'configs' / 'affinity_c8.py'


@pytest.fixture(autouse=True)
def quick_unit(monkeypatch):
    # Measuring the real value takes longer than everything else here.
    monkeypatch.setattr('mmaffinity.apis.benchmark.matrix_product_gflops', lambda device: 50.0)


def test_rows_of_every_job(config):
    rows = list(benchmark(config, batch_sizes=(1, 2), objects=(3, 5), num_threads=(1,), runs=1, warmup=1, overrides=FAST))
    assert {tuple(row) for row in rows} == {COLUMNS}
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
    assert len(read) == len(rows) and tuple(read[0]) == COLUMNS and read[0]['objects'] == ''


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


# --- growth ----------------------------------------------------------------------------------------------------------


def test_growth_of_time_is_measured(config, monkeypatch):
    for name in GROWTH:
        monkeypatch.setitem(GROWTH, name, (GROWTH[name][0], (2, 4)))
    measured = measure_growth(config, runs=1, warmup=0, num_threads=1, overrides=FAST)
    assert list(measured) == list(GROWTH)
    assert all(values == [2, 4] and len(seconds) == 2 and min(seconds) > 0 for values, seconds in measured.values())


def test_growth_of_weighted_rois(monkeypatch):
    """The steady form names its number of candidates, of which there must be as many as ranks."""
    monkeypatch.setitem(GROWTH, 'rois', ('classification', (20,)))
    overrides = {**FAST, 'model.roi_head.cls_head.norm_cfg.num_groups': 4}
    measured = measure_growth('affinity_c8_steady', ['rois'], runs=1, warmup=0, num_threads=1, overrides=overrides)
    assert measured['rois'][0] == [20]


def test_exponents():
    assert growth_exponent([1, 2, 4], [3.0, 6.0, 12.0]) == pytest.approx(1)
    assert growth_exponent([1, 2, 4], [1.0, 1.0, 4.0]) == pytest.approx(2)
    assert growth_exponent([1, 10], [5.0, 5.0]) == pytest.approx(0)


# --- one change at a time ----------------------------------------------------------------------------------------------


def test_ablation_alternates_timings_and_compares_results(config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, 'compile', functools.partial(torch.compile, backend='eager'))
    # Scores are spread, so that no rank depends on the last bit.
    torch.save({'state_dict': build_model().state_dict()}, tmp_path / 'model.pth')
    rows = ablate(
        config,
        tmp_path / 'model.pth',
        jobs=('both', 'detection'),
        batch_size=2,
        objects=3,
        runs=1,
        warmup=0,
        num_threads=1,
        overrides=FAST,
    )
    assert [(row['change'], row['job']) for row in rows] == [
        (name, job) for name in ('as configured', *ABLATIONS) if name not in TRAINING for job in ('both', 'detection')
    ]
    drift = {row['change']: row['probability_drift'] for row in rows if row['job'] == 'both'}
    for row in rows:
        assert row['seconds'] > 0 and row['ratio'] > 0
        assert (row['logit_drift'] is None) == (row['job'] == 'detection')
    assert drift['as configured'] == 0 < drift['bfloat16'] <= 1  # it may change the rank of RoIs
    exact = [value for name, value in drift.items() if name not in ('bfloat16', 'float16')]
    assert max(exact) < 1e-4, drift


def test_ablation_of_training(config):
    rows = ablate(config, changes=TRAINING, jobs=['train'], objects=3, runs=1, warmup=0, num_threads=1, overrides=FAST)
    assert [row['change'] for row in rows] == ['as configured', 'Adam, not fused', 'Adam, foreach']
    assert all(row['seconds'] > 0 and row['logit_drift'] is None for row in rows)


# --- the tool, wrong use -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'extra, first_words',
    [(['data'], ['classification', 'data']), (['--ablate', 'BatchNorm not folded'], ['as', 'BatchNorm'])],
    ids=['jobs', 'ablation'],
)
def test_command_writes_csv_and_prints_a_table(repo_root, config, tmp_path, monkeypatch, capsys, extra, first_words):
    options = [f'{key}={value!r}'.replace(' ', '').replace("'", '') for key, value in FAST.items()]
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'benchmark.py',
            str(config),
            '--jobs',
            'classification',
            *extra,
            '--threads',
            '1',
            '--runs',
            '1',
            '--warmup',
            '0',
            '--out',
            str(tmp_path / 'speed.csv'),
            '--cfg-options',
            *options,
        ],
    )
    runpy.run_path(str(repo_root / 'tools' / 'analysis_tools' / 'benchmark.py'), run_name='__main__')
    assert len((tmp_path / 'speed.csv').read_text().splitlines()) == 3
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-2:]] == first_words


@pytest.mark.parametrize('option, job', [('--ablate', 'data'), ('--backends', 'train')])
def test_command_refuses_jobs_that_it_would_not_time(monkeypatch, capsys, option, job):
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'benchmark', 'affinity_c8', option, '--jobs', 'classification', job])
    with pytest.raises(SystemExit):
        main()
    assert f'unknown: {job}; ' in capsys.readouterr().err


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
    with pytest.raises(ValueError, match='unknown: patients; growth is measured with the number of slices, objects, '):
        measure_growth(config, ['patients'])
    with pytest.raises(ValueError, match='unknown: no RPN, data; the changes are .*; the jobs are .*, train$'):
        ablate(config, changes=['no RPN'], jobs=['data'])
    with pytest.raises(ValueError, match='runs must be at least 1, not 0'):
        ablate(config, runs=0)
    with pytest.raises(FileNotFoundError):
        Benchmark(repo_root / 'configs' / 'none.py')
    bench = Benchmark(repo_root / 'configs' / 'baselines' / 'resnet18_slice.py', overrides={'image_size': (64, 64)})
    with pytest.raises(ValueError, match='SliceClassifier has no prediction modes: only the jobs train and data'):
        bench.job('both')
    with pytest.raises(ValueError, match='a job must be one of'):
        bench.job('walk')
    assert set(JOBS) == {'classification', 'detection', 'both', 'train', 'data'}
