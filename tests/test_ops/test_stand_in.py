"""MMDetection with this package's operations, each case in its own process, because import order matters."""

import subprocess
import sys
import textwrap
from pathlib import Path

import mmdet
import pytest
import torch
from mmcv.cnn import build_conv_layer
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from model_helpers import batch, lesion_sample, total

from mmaffinity.ops import is_compiled
from mmaffinity.ops.stand_in import OWN, REGISTERED

needs_compiled = pytest.mark.skipif(not is_compiled(), reason='mmcv is installed without compiled operations')
needs_pure = pytest.mark.skipif(is_compiled(), reason='mmcv is installed with compiled operations')


def run(code, *flags):
    done = subprocess.run([sys.executable, *flags, '-c', textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


USES_OURS = """
    from mmaffinity import ops
    from mmdet.models.dense_heads import base_dense_head, rpn_head
    from mmdet.models.layers import bbox_nms
    from mmdet.models.roi_heads.roi_extractors import base_roi_extractor
    from mmdet.structures.mask import structures
    assert base_dense_head.batched_nms is rpn_head.batched_nms is bbox_nms.batched_nms is ops.batched_nms
    assert structures.roi_align is ops.roi_align and base_roi_extractor.ops.RoIAlign is ops.RoIAlign
"""


def test_import_does_not_load_mmcv_ops():
    run(
        """
    import sys
    import mmaffinity
    found = [name for name in sys.modules if name.startswith(('mmcv.ops', 'mmcv._ext'))]
    assert not found, found
    import mmcv
    assert not hasattr(mmcv, 'ops')
    """
        + USES_OURS
    )


def test_import_does_not_warn():
    """Without a stand-in, mmcv asks to install mmcv instead of mmcv-lite."""
    assert run('import mmaffinity', '-W', 'error::UserWarning:mmcv') == ''


@needs_compiled
def test_previously_imported_mmdetection_is_patched():
    run(
        """
    import mmcv.ops, mmdet.models, mmdet.datasets
    from mmdet.models.dense_heads.clr_head import clr_head
    before = mmcv.ops.nms, clr_head.nms
    import mmaffinity
    import sys
    assert (mmcv.ops.nms, clr_head.nms) == before and sys.modules['mmcv.ops'] is mmcv.ops
    """
        + USES_OURS
    )


@needs_pure
@pytest.mark.skipif(mmdet.__version__ < '3.4', reason="OpenMMLab's MMDetection cannot be imported without compiled operations")
def test_mmdetections_stubs_are_replaced():
    run(
        """
    import mmdet.structures.mask
    import mmaffinity
    """
        + USES_OURS
    )


@needs_compiled
def test_rest_of_mmcv_ops_is_loaded_on_use():
    run(
        """
    import sys
    import mmaffinity
    from mmcv.cnn import build_conv_layer
    from mmdet.models.dense_heads import reppoints_head
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import CARAFEPack
    assert not isinstance(3, CARAFEPack) and 'mmcv.ops' not in sys.modules
    layer = build_conv_layer(dict(type='DCNv2'), 4, 4, 3)
    import mmcv.ops
    assert type(layer) is mmcv.ops.ModulatedDeformConv2dPack
    assert type(reppoints_head.DeformConv2d(4, 4, 3)) is mmcv.ops.DeformConv2d
    assert isinstance(mmcv.ops.CARAFEPack(4, 2), CARAFEPack)
    """
        + USES_OURS
    )


@needs_compiled
def test_every_registered_mmcv_layer_has_a_stand_in():
    found = run("""
    from mmengine.registry import MODELS
    import mmcv.ops
    for name, module in MODELS.module_dict.items():
        if module.__module__.startswith('mmcv.ops'):
            print(name, module.__name__)
    """)
    listed = dict(line.split() for line in found.splitlines())
    assert listed == REGISTERED
    # mmcv registers its four-dimensional convolutions without exporting them.
    missing = {name for name in (*OWN, *REGISTERED.values()) if not hasattr(__import__('mmcv.ops').ops, name)}
    assert missing == {'SparseConv4d', 'SubMConv4d'}


@needs_pure
@pytest.mark.parametrize('kind, name', [('DCN', "'DCN' (DeformConv2dPack)"), ('DCNv2', "'DCNv2' (ModulatedDeformConv2dPack)")])
def test_uncompiled_layer_is_named(kind, name):
    with pytest.raises(ValueError, match='not an operation of this package.* are not compiled.*pip install') as caught:
        build_conv_layer(dict(type=kind), 4, 4, 3)
    assert name in str(caught.value)


@needs_pure
@pytest.mark.parametrize(
    'change, name',
    [
        (dict(backbone=dict(dcn=dict(type='DCNv2', deform_groups=1), stage_with_dcn=(False, True, True, True))), 'DCNv2'),
        (
            dict(
                roi_head=dict(
                    mask_head=dict(
                        upsample_cfg=dict(
                            type='carafe', scale_factor=2, up_kernel=5, up_group=1, encoder_kernel=3, encoder_dilation=1
                        )
                    )
                )
            ),
            'carafe',
        ),
        (dict(roi_head=dict(bbox_roi_extractor=dict(roi_layer=dict(_delete_=True, type='RoIPool', output_size=7)))), 'RoIPool'),
        (dict(backbone=dict(norm_cfg=dict(type='MMSyncBN'))), 'MMSyncBN'),
    ],
)
def test_config_with_an_uncompiled_layer_raises_a_clear_error(change, name):
    init_default_scope('mmdet')
    config = mask_rcnn()
    config.merge_from_dict({'model': change})
    with pytest.raises(ValueError, match=f"'{name}'.* are not compiled"):
        MODELS.build(config.model)


def test_every_layer_that_a_config_may_name_is_registered():
    assert all(name in ROOT_MODELS.module_dict for name in REGISTERED)


def mask_rcnn():
    """MMDetection's own Mask R-CNN, made small."""
    config = Config.fromfile(Path(mmdet.__file__).parent / '.mim/configs/_base_/models/mask-rcnn_r50_fpn.py')
    config.model.backbone.init_cfg = None
    return config


def test_mmdetections_own_mask_rcnn_trains_and_predicts():
    """Its RPN, FPN extractors with adaptive RoIAlign, box suppression and hard mask targets, with nothing of ours named."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = mask_rcnn().model
    model.backbone.depth = 18
    model.neck.in_channels = [64, 128, 256, 512]
    model = MODELS.build(model)
    model.init_weights()
    data = batch(lesion_sample())
    data['inputs'] = [image.expand(3, -1, -1) for image in data['inputs']]
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    total(losses).backward()
    gradient = model.neck.lateral_convs[0].conv.weight.grad
    assert torch.isfinite(gradient).all() and gradient.any() and losses['loss_mask'] > 0
    model.test_cfg.rcnn.score_thr = 0.0
    found = model.eval().val_step(data)[0].pred_instances
    assert len(found) == 100 and found.masks.shape == (100, 128, 128)


def test_a_registered_layer_serves_mmdetections_extractors():
    reference, sparse = (
        MODELS.build(
            dict(
                type='SingleRoIExtractor',
                out_channels=4,
                featmap_strides=[4, 8],
                roi_layer=dict(type=kind, output_size=7, sampling_ratio=2),
            )
        )
        for kind in ('RoIAlign', 'SparseRoIAlign')
    )
    x = [torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(size)) for size in (32, 16)]
    rois = torch.tensor([[0.0, 8.0, 8.0, 40.0, 40.0], [0.0, 1.0, 2.0, 120.0, 127.0]])
    torch.testing.assert_close(sparse(x, rois), reference(x, rois), rtol=0, atol=1e-5)
