# The third phase of training from scratch: alternating stages, with a tenth of the first two phases' step size.
train_cfg = dict(type='SliceTrainLoop', max_epochs=4, val_interval=1)
val_cfg = dict(type='SliceValLoop')
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', fused=True, lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=10, norm_type=2),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=4, convert_to_iter_based=True, eta_min_ratio=0.01),
]
