"""The figures as a command."""

import sys

import pytest
from report_helpers import lesion_records, slice_records, write_results

from mmaffinity_cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Draw a figure; return the names of its files, and check that the command prints them."""

    def call(*words):
        out = tmp_path / 'out'
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'figures', *map(str, words), '--out', str(out)])
        before = set(out.glob('*'))
        main()
        files = sorted(str(path) for path in set(out.glob('*')) - before)
        assert sorted(capsys.readouterr().out.splitlines()[-len(files) :]) == files
        return [path.rsplit('/', 1)[1] for path in files]

    return call


@pytest.fixture
def options(narrow_phantom):
    return ['--cfg-options', *(f'{key}={value}'.replace(' ', '') for key, value in narrow_phantom[2].items())]


def test_figures_of_a_model(run, options, narrow_phantom, tiny_phantom, tmp_path):
    """Without --slices, the slices are chosen from the results in --work-dir."""
    config, checkpoint, _ = narrow_phantom
    from mmaffinity.apis.evaluated_model import EvaluatedModel

    dataset = EvaluatedModel.load(*narrow_phantom).dataset
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    path, lesions = (
        next(info['img_path'] for info in infos if info['task'] == task) for task in ('classification', 'segmentation')
    )
    slices, found = slice_records(1, 1), lesion_records(1)
    slices[0].update(img_path=path, rel_path=path, pred=slices[0]['label'])
    found[0].update(img_path=lesions, rel_path=lesions, num_gt=1)
    folder = write_results(tmp_path / 'run', slices, found)
    model = [config, checkpoint, '--work-dir', folder]
    assert run('affinity', *model, *options) == ['figure4_affinity.pdf', 'figure4_affinity.png']
    assert run('lesions', *model, '--score-thr', '0.1', *options) == ['figure6_lesions.pdf', 'figure6_lesions.png']
    first, second = run('evidence', *model[:2], '--slices', path, *options)
    assert first.startswith('evidence_1_') and first.endswith('.pdf') and second == first.replace('.pdf', '.png')


def test_figures_of_finished_runs(run, tmp_path):
    folder = write_results(tmp_path / 'run', slice_records(30, 9))
    (folder / '1/vis_data').mkdir(parents=True)
    (folder / '1/vis_data/scalars.json').write_text(
        '{"lr": 1e-5, "loss": 1.0, "step": 1}\n{"lr": 1e-5, "loss": 0.5, "step": 2}\n'
    )
    assert run('confusion', folder) == ['confusion_run.pdf', 'confusion_run.png']
    assert run('curves', folder) == ['training_curves.pdf', 'training_curves.png']


def test_missing_results_are_reported(run, options, narrow_phantom, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    for words in (
        ('ranks', tmp_path / 'report.json'),
        ('affinity', *narrow_phantom[:2], '--work-dir', tmp_path / 'empty', *options),
    ):
        with pytest.raises(SystemExit, match='2'):
            run(*words)
        error = capsys.readouterr().err
        assert str(tmp_path) in error and 'Traceback' not in error
