"""Training and testing of every baseline on the phantom, and report and figures of these runs."""

import csv
import json
import runpy
import sys

import pytest
from model_helpers import NARROW

from mmaffinity.apis import figures, test_model, train_model
from mmaffinity.apis.report import write_report
from mmaffinity.utils.config import load_config

pytestmark = pytest.mark.slow

pytest.importorskip('sklearn', reason='scikit-learn is not installed: install the extra report')
FAST = {
    'image_size': (64, 64),
    'train_cfg.max_epochs': 1,
    'train_dataloader.batch_size': 3,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'default_hooks.logger.interval': 1,
}
DETECTOR = {
    'model.train_cfg.rcnn.sampler.num': 16,
    'model.test_cfg.rpn.max_per_img': 30,
    'model.train_cfg.rpn_proposal.max_per_img': 30,
}
# Narrow layers: seconds instead of minutes, and small checkpoints.
SHARED = {f'model.{key}': value for key, value in NARROW.items() if '.cls_head.' not in key}
AFFINITY = {f'model.{key}': value for key, value in NARROW.items()}
VAL = {'val_dataloader.num_workers': 0, 'val_dataloader.persistent_workers': False}
VGG = {'model.backbone.depth': 11, 'model.cls_head.fc_channels': (8, 8)}


class Runs:
    """Train each model on first use, and keep its folder."""

    def __init__(self, repo_root, phantom, folder):
        self.repo_root, self.phantom, self.folder = repo_root, phantom, folder
        self.done = {}

    def config(self, name, root='cncb_ncov', **extra):
        config = load_config(self.repo_root / 'configs' / f'{name}.py')
        changes = {**FAST, **(VAL if config.get('val_dataloader') else {}), 'data_root': str(self.phantom / root), **extra}
        if 'roi_head' in config.model:
            changes.update(DETECTOR, **(AFFINITY if 'affinity' in name else SHARED))
        elif config.model.backbone.type == 'ResNet':
            changes['model.backbone.base_channels'] = 8
        return load_config(self.repo_root / 'configs' / f'{name}.py', changes)

    def __call__(self, name, root='cncb_ncov', epochs=1, **extra):
        stem = name.split('/')[-1]
        if stem not in self.done:
            work_dir = self.folder / stem
            extra['train_cfg.max_epochs'] = epochs
            runner = train_model(self.config(name, root, **extra), work_dir=work_dir)
            self.done[stem] = work_dir, runner.iter
            extra.pop('load_from', None)
            test_model(
                self.config(name, root, **extra),
                work_dir / f'epoch_{epochs}.pth',
                work_dir=work_dir,
                out=work_dir / 'results.json',
                show_dir=work_dir / 'pictures',
            )
        return self.done[stem]


@pytest.fixture(scope='module')
def runs(repo_root, tiny_phantom, tmp_path_factory):
    return Runs(repo_root, tiny_phantom, tmp_path_factory.mktemp('runs'))


def load(work_dir, name='results.json'):
    return json.loads((work_dir / name).read_text())


def train_all(runs):
    affinity, _ = runs('affinity_c8_phantom', epochs=2)
    lesions, _ = runs('baselines/mask_rcnn_full_phantom')
    heads, _ = runs(
        'baselines/mask_rcnn_heads_only_phantom', **{'model.backbone.init_cfg.checkpoint': str(affinity / 'epoch_2.pth')}
    )
    mask_net, _ = runs('baselines/covid_ct_mask_net_phantom', load_from=str(lesions / 'epoch_1.pth'))
    single, _ = runs('baselines/single_shot_phantom')
    plain, _ = runs('baselines/resnet18_slice_phantom')
    return affinity, lesions, heads, mask_net, single, plain


def test_each_baseline_trains_and_is_tested(runs):
    affinity, lesions, heads, mask_net, single, plain = train_all(runs)
    for folder, slices, segmented in (
        (affinity, 6, 4),
        (lesions, 0, 4),
        (heads, 0, 4),
        (mask_net, 6, 4),
        (single, 6, 4),
        (plain, 6, 0),
    ):
        content = load(folder)
        assert (len(content['slices']), len(content['lesions'])) == (slices, segmented), folder.name
        assert ('slice/f1' in content['metrics'], 'lesion/mAP' in content['metrics']) == (slices > 0, segmented > 0)
    assert runs.done['resnet18_slice_phantom'][1] == 2 and runs.done['single_shot_phantom'][1] == 4
    lists = load(affinity)['lists']
    assert lists['segmentation'] == load(lesions)['lists']['segmentation']
    assert lists['classification'] == load(plain)['lists']['classification']
    assert all(len(record['logits']) == 3 and not record['rel_path'].startswith('/') for record in load(affinity)['slices'])


def test_vgg_on_ictcf(runs):
    folder, steps = runs('baselines/vgg16_ictcf_phantom', 'ictcf', **VGG)
    assert steps == 2 and len(load(folder)['slices']) == 4 and load(folder)['slice_classes'] == ['Negative', 'COVID-19']
    pictures = [path.name for path in (folder / 'pictures').iterdir()]
    assert 'confusion_matrix.png' in pictures and 'affinity.png' not in pictures and len(pictures) == 5


def test_report_on_the_phantom(runs, tmp_path, monkeypatch, capsys, repo_root):
    folders = [*train_all(runs), runs('baselines/vgg16_ictcf_phantom', 'ictcf', **VGG)[0]]
    test_model(
        runs.config('affinity_c8_phantom'),
        folders[0] / 'epoch_2.pth',
        work_dir=folders[0],
        out=folders[0] / 'results_val.json',
        split='val',
    )
    assert load(folders[0], 'results_val.json')['split'] == 'val'
    matrix, predictions = tmp_path / 'net.csv', tmp_path / 'predictions.csv'
    records = load(folders[0])['slices']
    zero, one, two = (sum(record['label'] == label for record in records) for label in range(3))
    matrix.write_text(f'truth,Normal,CP,COVID-19\nNormal,{zero},0,0\nCP,1,{one - 1},0\nCOVID-19,0,0,{two}\n')
    predictions.write_text('img_path,pred\n' + ''.join(f'{record["rel_path"]},CP\n' for record in records))
    external = {'COVIDNet-CT': matrix, 'DarkCOVIDNet': predictions}
    arguments = [*map(str, folders), '--out', str(tmp_path), '--resamples', '20']
    for pair in external.items():
        arguments += ['--external', '='.join(map(str, pair))]
    monkeypatch.setattr(sys, 'argv', ['report.py', *arguments])
    runpy.run_path(str(repo_root / 'tools/analysis_tools/report.py'), run_name='__main__')
    assert 'report.md' in capsys.readouterr().out
    text = (tmp_path / 'report.md').read_text()
    for words in (
        'Table 3',
        'Table 4',
        'Table 7',
        '*(published)*',
        '**',
        'bootstrap',
        'Research use only',
        'mask_rcnn_heads_only_phantom',
        'vgg16_ictcf_phantom',
        'COVIDNet-CT *(external)*',
        'DarkCOVIDNet *(external)*',
        'Synthetic slices',
    ):
        assert words in text, words
    assert 'nan' not in text.lower()
    assert (tmp_path / 'reliability_table4.png').is_file() and (tmp_path / 'reliability_table4.pdf').is_file()
    content = json.loads((tmp_path / 'report.json').read_text())
    rows = list(csv.DictReader((tmp_path / 'report.csv').open()))
    assert len(rows) == sum(len(table['figures']) for table in content['tables'])
    again = write_report(folders, tmp_path / 'again', external, num_resamples=20)
    assert again['markdown'].read_text() == text  # the same seed gives the same report
    files = figures.rank_figure(tmp_path / 'report.json', tmp_path)
    files += figures.rank_figure(tmp_path / 'report.json', tmp_path / 'all', published=True)
    assert [file.name for file in files] == ['figure5_ranks.png', 'figure5_ranks.pdf'] * 2


def test_figures_of_affinities_need_an_affinity_model(runs, tmp_path):
    affinity, _ = runs('affinity_c8_phantom', epochs=2)
    plain, _ = runs('baselines/resnet18_slice_phantom')
    config = runs.config('baselines/resnet18_slice_phantom')
    path = load(plain)['slices'][0]['rel_path']
    with pytest.raises(ValueError, match='affinity head'):
        figures.affinity_figure(config, [plain / 'epoch_1.pth'], tmp_path, [path])
    with pytest.raises(ValueError, match='does not match'):
        figures.affinity_figure(config, [affinity / 'epoch_2.pth'], tmp_path, [path])
