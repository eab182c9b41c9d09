# Training from scratch on a few synthetic slices in minutes on two cores, with larger steps and batches than in the paper.
train_cfg = dict(type='SliceTrainLoop', max_epochs=3, val_interval=3)
val_cfg = dict(type='SliceValLoop')
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', fused=True, lr=1e-3, weight_decay=1e-3),
    paramwise_cfg=dict(custom_keys={'roi_head.cls_head': dict(lr_mult=4)}),
    clip_grad=dict(max_norm=10, norm_type=2),
)
# The first epoch is segmentation only (segmentation_epochs of the sampler). Its last steps are so small that the features
# barely change once the slice head starts training.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=1, convert_to_iter_based=True, eta_min_ratio=0.08),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=2, end=3, convert_to_iter_based=True, eta_min_ratio=0.005),
]
