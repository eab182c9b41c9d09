"""Conversion of published checkpoints and back."""

import hashlib

import pytest
import torch
from published_helpers import generator, published_content

from mmaffinity.checkpoints.published import (
    convert_back,
    convert_back_file,
    convert_published,
    convert_published_file,
)
from mmaffinity.checkpoints.safe_pickle import ForeignGlobal, ForeignObject
from mmaffinity.checkpoints.untrusted import load_untrusted_checkpoint


@pytest.fixture
def source(weights, tmp_path, monkeypatch):
    path = tmp_path / 'author.pth'
    torch.save(published_content(monkeypatch, weights), path)
    return path


def same_bits(a, b):
    return list(a) == list(b) and all(
        a[key].dtype == b[key].dtype
        and a[key].shape == b[key].shape
        and a[key].contiguous().numpy().tobytes() == b[key].contiguous().numpy().tobytes()
        for key in a
    )


def test_round_trip_preserves_every_bit(source, weights, tmp_path, monkeypatch):
    a, b, back, c = (tmp_path / name for name in ('a.pth', 'b.pth', 'back.pth', 'c.pth'))
    meta = convert_published_file(source, a)
    convert_published_file(source, b)
    assert a.read_bytes() == b.read_bytes()
    convert_back_file(a, back)
    original, returned = load_untrusted_checkpoint(source), load_untrusted_checkpoint(back)
    assert same_bits(original['model_weights'], returned['model_weights'])
    old, new = original.pop('anchor_generator'), returned.pop('anchor_generator')
    assert old.cls == new.cls == ForeignGlobal('models.affinity.rpn', 'AnchorGenerator')
    anchors = [state.pop('cell_anchors')[0] for state in (old.state, new.state)]
    assert torch.equal(*anchors) and old.state == new.state
    assert {k: v for k, v in original.items() if k != 'model_weights'} == {
        k: v for k, v in returned.items() if k != 'model_weights'
    }
    again = convert_published_file(back, c)
    assert {**again, 'source': None} == {**meta, 'source': None}
    first, third = (torch.load(path, weights_only=True) for path in (a, c))
    assert same_bits(first['state_dict'], third['state_dict'])
    assert same_bits(first['published_extra'].pop('dropped'), third['published_extra'].pop('dropped'))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.pth', 'author.pth', 'b.pth', 'back.pth', 'c.pth']


def test_nan_and_signed_zeros_survive(weights):
    key = 'roi_heads.box_predictor.bbox_pred.bias'
    weights[key] = torch.tensor([-0.0, float('nan'), 1e-45, float('inf'), -0.0, 1e-45, float('nan'), 2.0])
    assert same_bits(convert_back(convert_published({'model_weights': weights}))['model_weights'], weights)


def test_tensors_are_mapped_to_the_right_parameters(source, weights, tmp_path):
    convert_published_file(source, tmp_path / 'a.pth')
    state = torch.load(tmp_path / 'a.pth', weights_only=True)['state_dict']
    for theirs, ours in (('', 'roi_head'), ('_s2', 'roi_head.classification_branch')):
        score = weights[f'roi_heads.box_predictor{theirs}.cls_score.weight']
        assert torch.equal(state[f'{ours}.bbox_head.fc_cls.weight'], torch.stack([score[1], score[0]]))
        assert torch.equal(
            state[f'{ours}.bbox_head.fc_reg.bias'], weights[f'roi_heads.box_predictor{theirs}.bbox_pred.bias'][4:]
        )
        assert torch.equal(state[f'{ours}.bbox_head.shared_fcs.0.weight'], weights[f'roi_heads.box_head{theirs}.fc6.weight'])
    assert torch.equal(
        state['roi_head.mask_head.conv_logits.weight'], weights['roi_heads.mask_predictor.mask_fcn_logits.weight'][1:]
    )
    assert torch.equal(state['roi_head.cls_head.affinity.vector'], weights['affinity_layer.batch_to_feat_vec'][:, 0])
    assert torch.equal(
        state['roi_head.cls_head.refinement.stages.0.norm.running_var'], weights['affinity_layer.sieve.2.bn.running_var']
    )


def test_meta_contains_config_and_source(source, tmp_path):
    meta = convert_published_file(source, tmp_path / 'new' / 'a.pth')
    assert meta == torch.load(tmp_path / 'new' / 'a.pth', weights_only=True)['meta']
    assert meta['config'] == 'configs/published/affinity_c8.py' and meta['cfg_options'] == {}
    assert meta['source'] == {'file': 'author.pth', 'sha256': hashlib.sha256(source.read_bytes()).hexdigest()}
    assert meta['published'] == {'epoch': '99', 'lrate': 1e-5, 'affinity': 8, 'model_name': 'affinity_model_8'}
    assert meta['anchors']['sizes'] == ((2, 4, 8, 16, 32),) and meta['not_read'] == [] and meta['ignored'] == []
    assert meta['dataset_meta'] == {'classes': ('lesion',), 'slice_classes': ('Normal', 'CP', 'COVID-19')}


@pytest.mark.parametrize(
    'num_affinities, num_classes, config, options',
    [
        (16, 3, 'affinity_c16.py', {}),
        (512, 3, 'affinity_c512.py', {}),
        (64, 2, 'affinity_c64_ictcf.py', {}),
        (24, 2, 'affinity_c8_ictcf.py', {'model.roi_head.cls_head.num_affinities': 24}),
    ],
)
def test_any_number_of_affinities_and_two_or_three_classes(weights, repo_root, num_affinities, num_classes, config, options):
    for key in ('batch_to_feat_mat', 'pars.0'):
        weights[f'affinity_layer.{key}'] = torch.ones(8, num_affinities)
    for key in ('batch_to_feat_vec', 'pars.1'):
        weights[f'affinity_layer.{key}'] = torch.ones(num_affinities, 1)
    weights['s2new.class_predict_logits.weight'] = torch.zeros(num_classes, 128)
    weights['s2new.class_predict_logits.bias'] = torch.zeros(num_classes)
    checkpoint = convert_published({'model_weights': weights, 'affinity': num_affinities})
    meta = checkpoint['meta']
    assert meta['config'] == f'configs/published/{config}' and (repo_root / meta['config']).is_file()
    assert meta['cfg_options'] == options
    assert (meta['num_affinities'], meta['num_classes'], meta['num_rois']) == (num_affinities, num_classes, 8)
    assert checkpoint['state_dict']['roi_head.cls_head.affinity.matrix'].shape == (8, num_affinities)
    assert same_bits(convert_back(checkpoint)['model_weights'], weights)


def test_unneeded_fields_are_listed_as_ignored(weights, tmp_path):
    loop = []
    loop.append(loop)
    checkpoint = convert_published(
        {
            'model_weights': weights,
            'optimizer': {'lr': 1},
            'args': ForeignObject(ForeignGlobal('x', 'Args')),
            'anchor_generator': generator(other=1),
            'epoch': loop,
        }
    )
    assert checkpoint['meta']['ignored'] == [
        'optimizer (dict)',
        'args (x.Args)',
        'epoch (list)',
        'anchor_generator (models.affinity.rpn.AnchorGenerator)',
    ]
    assert checkpoint['meta']['anchors'] is None
    torch.save(checkpoint, tmp_path / 'a.pth')
    torch.load(tmp_path / 'a.pth', weights_only=True)


@pytest.mark.parametrize('junk', [ForeignObject(ForeignGlobal('x', 'Y')), 'loop', 'deep'])
def test_unusual_anchor_generator_state_is_not_stored(weights, junk, tmp_path):
    if junk == 'loop':
        junk = []
        junk.append(junk)
    elif junk == 'deep':
        junk = []
        for _ in range(5000):
            junk = [junk]
    state = dict(sizes=((2, 4, 8, 16, 32),), aspect_ratios=((0.1, 0.25, 0.5, 1, 1.5, 2),), cell_anchors=junk)
    checkpoint = convert_published({'model_weights': weights, 'anchor_generator': generator(**state)})
    assert checkpoint['meta']['anchors']['sizes'] == ((2, 4, 8, 16, 32),)
    torch.save({'extra': checkpoint['published_extra'], 'meta': checkpoint['meta']}, tmp_path / 'a.pth')
    torch.load(tmp_path / 'a.pth', weights_only=True)


def test_converting_back_a_model_trained_here(weights):
    checkpoint = convert_published({'model_weights': weights})
    trained = {'meta': {'epoch': 3}, 'state_dict': checkpoint['state_dict'], 'optimizer': {}}
    back = convert_back(trained)
    assert back['affinity'] == 8 and back['anchor_generator'].state['sizes'] == ((2, 4, 8, 16, 32),)
    key = 'roi_heads.box_predictor.bbox_pred.weight'
    assert not back['model_weights'][key][:4].any()
    assert torch.equal(back['model_weights'][key][4:], weights[key][4:])
    assert same_bits(convert_published(back)['state_dict'], trained['state_dict'])


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda c: c.pop('state_dict'), 'no state_dict'),
        (lambda c: c['state_dict'].pop('roi_head.cls_head.classifier.4.weight'), 'no classifier'),
        (
            lambda c: c['state_dict'].update({'roi_head.cls_head.refinement.stages.1.norm.bias': torch.ones(1)}),
            'only models of configs/published .*unknown roi_head.cls_head.refinement.stages.1.norm.bias',
        ),
        (
            lambda c: c['state_dict'].pop('roi_head.classification_branch.mask_head.extra_conv.bias'),
            'missing roi_head.classification_branch.mask_head.extra_conv.bias',
        ),
        (lambda c: c['state_dict'].update({'rpn_head.rpn_conv.bias': torch.ones(3)}), r'rpn_conv.bias has shape \(3,\)'),
    ],
)
def test_only_published_models_are_converted_back(weights, change, message):
    checkpoint = convert_published({'model_weights': weights})
    change(checkpoint)
    with pytest.raises(ValueError, match=message):
        convert_back(checkpoint)


def test_errors_name_the_file_and_keep_the_target(source, tmp_path, weights):
    before = source.read_bytes()
    with pytest.raises(ValueError, match='is the input file'):
        convert_published_file(source, source)
    assert source.read_bytes() == before
    weights.pop('rpn.head.conv.bias')
    torch.save(weights, tmp_path / 'bad.pth')
    (tmp_path / 'out.pth').write_text('kept')
    with pytest.raises(ValueError, match=r'bad\.pth was not converted: .*missing rpn.head.conv.bias'):
        convert_published_file(tmp_path / 'bad.pth', tmp_path / 'out.pth')
    assert (tmp_path / 'out.pth').read_text() == 'kept'
    with pytest.raises(FileNotFoundError):
        convert_published_file(tmp_path / 'none.pth', tmp_path / 'out.pth')
