# Mask R-CNN on lesions from NIfTI volumes, with the paper's recipe and about as many steps: 300 000 on the roughly 1300
# training slices of COVID-19-CT-Seg.
_base_ = [
    '../_base_/models/mask_rcnn_r18.py',
    '../_base_/datasets/nifti_pairs.py',
    '../_base_/schedules/lesions_630e.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_epochs=230, val_interval=10)
val_cfg = dict(_delete_=True, type='SliceValLoop')
default_hooks = dict(checkpoint=dict(interval=10))
