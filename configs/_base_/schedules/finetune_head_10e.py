# Fine-tuning to the labels of a new data set by W, v and the classifier, whose final layer is new. The leaf config leaves
# everything before them as `load_from` has it:
#     model = dict(frozen_parts=['backbone', 'neck', 'roi_head.cls_head.refinement', 'roi_head.cls_head.vectorization'])
# finetune_10e.py, the paper's, moves everything by small steps; with few slices it ends before a new last layer has forgotten
# its random start, and its result depends on the seed. docs/results.md has the measurements.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10)
val_cfg = None
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-3))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=10, convert_to_iter_based=True, eta_min_ratio=0.01)
]
custom_hooks = [
    dict(type='AlternatingLossHook', copy='every'),
    dict(type='CheckpointGuardHook', new_layers=['roi_head.cls_head.classifier.4']),
    dict(type='EpochSeedHook'),
]
