# Fine-tuning on the slice labels of a new data set for 10 epochs, with a new final layer of the classifier. All other weights
# come from `load_from`, which is required.
train_cfg = dict(type='SliceTrainLoop', max_epochs=10)
val_cfg = None
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', fused=True, lr=1e-5, weight_decay=1e-3))
param_scheduler = []
