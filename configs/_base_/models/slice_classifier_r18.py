# A plain slice classifier. The backbone may be any of MMDetection's registry, SliceVGG, or any model of timm, by one line:
#     model = dict(backbone=dict(_delete_=True, type='TimmBackbone', model_name='efficientnet_b0',
#                                init_cfg=dict(type='Pretrained', checkpoint='timm')))
# The head finds out how many channels it gives.
model = dict(
    type='SliceClassifier',
    data_preprocessor=dict(
        type='SliceDataPreprocessor', normalization='global', statistics='annotations/statistics.json'),
    backbone=dict(
        type='ResNet',
        depth=18,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet18-f37072fd.pth')),
    cls_head=dict(type='PooledClsHead', num_classes=3))
