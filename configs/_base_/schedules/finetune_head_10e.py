# Fine-tuning of W, v and the classifier on the labels of a new data set, with a new final layer. The leaf config freezes
# everything before them at the weights of `load_from`:
#     model = dict(frozen_parts=['backbone', 'neck', 'roi_head.cls_head.refinement', 'roi_head.cls_head.vectorization'])
# The paper's schedule, finetune_10e.py, trains everything in small steps. With few slices, it ends before the new final layer
# overcomes its random initialisation, so the result depends on the seed. docs/results.md has the measurements.
train_cfg = dict(type='SliceTrainLoop', max_epochs=10)
val_cfg = None
test_cfg = dict(type='SliceTestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', fused=True, lr=3e-3, weight_decay=1e-3))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=10, convert_to_iter_based=True, eta_min_ratio=0.01)
]
