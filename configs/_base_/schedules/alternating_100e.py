# One Adam optimizer for both stages, constant learning rate; an epoch is one pass over the classification slices.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-3))
param_scheduler = []
custom_hooks = [
    dict(type='AlternatingLossHook', copy='every'),
    dict(type='CheckpointGuardHook'),
    dict(type='EpochSeedHook'),
]
