# Table 7: VGG-16 on iCTCF; its convolutions start from ImageNet weights.
_base_ = [
    '../_base_/models/slice_classifier_r18.py',
    '../_base_/datasets/ictcf.py',
    '../_base_/schedules/slices_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='SliceVGG',
        depth=16,
        init_cfg=dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/vgg16-397923af.pth'),
    ),
    cls_head=dict(num_classes=2, pool_size=7, fc_channels=(4096, 4096), dropout=0.5),
)
train_cfg = dict(_delete_=True, type='SliceTrainLoop', max_epochs=100)
val_cfg = None
