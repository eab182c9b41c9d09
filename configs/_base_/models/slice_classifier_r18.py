# A plain slice classifier. The backbone may be any in MMDetection's registry, SliceVGG, or any timm model:
#     model = dict(backbone=dict(_delete_=True, type='TimmBackbone', model_name='efficientnet_b0',
#                                init_cfg=dict(type='Pretrained', checkpoint='timm')))
# The head infers its number of input channels.
model = dict(
    type='SliceClassifier',
    data_preprocessor=dict(type='SliceDataPreprocessor', normalization='global', statistics='annotations/statistics.json'),
    backbone=dict(
        type='ResNet',
        depth=18,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet18-f37072fd.pth'),
    ),
    cls_head=dict(type='PooledClsHead', num_classes=3),
)
