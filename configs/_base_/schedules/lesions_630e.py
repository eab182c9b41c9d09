# Lesions only: 630 passes over the 475 training slices with lesions give as many steps as the affinity model's segmentation
# stage takes in 100 epochs.
train_cfg = dict(type='SliceTrainLoop', max_epochs=630)
val_cfg = None
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', fused=True, lr=1e-5, weight_decay=1e-3))
param_scheduler = []
