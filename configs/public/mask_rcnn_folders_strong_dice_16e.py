# mask_rcnn_folders_strong_dice_8e.py for twice as many epochs.
_base_ = './mask_rcnn_folders_strong_dice_8e.py'
train_cfg = dict(max_epochs=16)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=16, convert_to_iter_based=True, eta_min_ratio=0.01),
]
