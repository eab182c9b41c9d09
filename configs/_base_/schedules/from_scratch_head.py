# The second phase of training from scratch: the slice head only, on stored RoIs.
train_cfg = dict(type='SliceTrainLoop', max_epochs=20, val_interval=5)
val_cfg = dict(type='SliceValLoop')
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', fused=True, lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=10, norm_type=2),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=20, convert_to_iter_based=True, eta_min_ratio=0.01),
]
