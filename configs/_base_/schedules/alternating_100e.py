# One Adam optimizer for both stages, constant learning rate; an epoch is one pass over the classification slices.
train_cfg = dict(type='SliceTrainLoop', max_epochs=100, val_interval=10)
val_cfg = dict(type='SliceValLoop')
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', fused=True, lr=1e-5, weight_decay=1e-3))
param_scheduler = []
