"""Figures on the pages of test runs and reports, or the reason why one is missing."""

from types import SimpleNamespace

import pytest

from mmaffinity.apis.evaluated_model import EvaluatedModel
from mmaffinity.apis.page_figures import figures_of_report, figures_of_test
from mmaffinity.structures import SliceDataSample

PNG = b'\x89PNG'


def rows(**models):
    return [
        dict(model=model, kind='own', metric=metric, value=value)
        for model, values in models.items()
        for metric, value in zip(('mAP', 'f1'), values)
    ]


def test_ranks_need_two_models():
    content = dict(tables=[dict(key='table3', figures=rows(a=(0.4, 0.9), b=(0.5, 0.8)))])
    (figure,) = figures_of_report(content)
    assert figure.picture.startswith(PNG) and 'Figure 5' in figure.text
    content['tables'][0]['figures'] = rows(a=(0.4, 0.9))
    (figure,) = figures_of_report(content)
    assert figure.picture is None and figure.text.startswith('Not drawn: ') and 'two models' in figure.text


@pytest.fixture(scope='module')
def results(narrow_phantom):
    """The model, and results in which its first slice of each task is the best one."""
    model = EvaluatedModel.load(*narrow_phantom)
    infos = [model.dataset.get_data_info(index) for index in range(len(model.dataset))]
    first = {
        task: next(info for info in infos if info['task'] == task)['img_path'] for task in ('classification', 'segmentation')
    }
    path, lesions = first['classification'], first['segmentation']
    return model, dict(
        slices=[dict(img_path=path, rel_path=path, label=0, pred=0, scores=[0.9, 0.1, 0.1])],
        lesions=[dict(img_path=lesions, rel_path=lesions, num_gt=1, ap=[0.5])],
    )


def test_figures_of_a_test_run(results, tmp_path):
    model, content = results
    figures = list(figures_of_test(model, content, tmp_path))
    path = content['slices'][0]['rel_path']
    assert [figure.title for figure in figures] == [
        'Affinity representation Y',
        f'Attribution of each class to the RoIs: {path}',
        'Lesions: prediction, mask scores, annotation',
        'Training',
    ]
    assert all(figure.picture.startswith(PNG) for figure in figures[:3])
    assert figures[3].picture is None and figures[3].text.startswith(f'Not drawn: {tmp_path} contains no ')


def test_a_figure_that_cannot_be_drawn_does_not_stop_the_others(results, tmp_path):
    model, content = results
    wrong = [dict(record, pred=1) for record in content['slices']]
    figures = list(figures_of_test(model, dict(content, slices=wrong), tmp_path))
    assert [figure.picture is None for figure in figures] == [True, False, True]
    assert figures[0].text == 'Not drawn: no slice is correctly classified, so there is none to show'


def test_a_run_without_classes_has_figures_of_its_lesions_only(tmp_path):
    class NoMasks:
        def index_of(self, path, task):
            return 0

        def __call__(self, index, mask_scores):
            return SimpleNamespace(shape=(9, 9)), SliceDataSample(metainfo=dict(img_path='a.png'))

    lesions = [dict(img_path='a.png', rel_path='a.png', num_gt=1, ap=[0.5])]
    first, second = figures_of_test(NoMasks(), dict(slices=[], lesions=lesions), tmp_path)
    assert first.text.startswith('Not drawn: this figure needs predicted and annotated masks') and second.title == 'Training'
