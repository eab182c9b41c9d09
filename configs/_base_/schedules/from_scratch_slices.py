# Slice labels only, from scratch.
train_cfg = dict(type='SliceTrainLoop', max_epochs=8, val_interval=4)
val_cfg = dict(type='SliceValLoop')
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', fused=True, lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=10, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=8, convert_to_iter_based=True, eta_min_ratio=0.01),
]
