# Finetuning to slice labels of a new data set: 10 epochs; the last layer of the classifier starts anew, everything else
# starts from `load_from`, without which training does not begin.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10)
val_cfg = None
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-3))
param_scheduler = []
custom_hooks = [
    dict(type='AlternatingLossHook', copy='every'),
    dict(type='CheckpointGuardHook', new_layers=['roi_head.cls_head.classifier.4']),
    dict(type='EpochSeedHook'),
]
