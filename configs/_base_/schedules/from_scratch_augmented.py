# Continues the first phase of training from scratch (lesions only) with augmentation.
_base_ = './from_scratch_lesions.py'
train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=6, convert_to_iter_based=True, eta_min_ratio=0.01),
]
