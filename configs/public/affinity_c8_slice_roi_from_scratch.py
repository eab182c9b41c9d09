# affinity_c8_from_scratch.py with the whole slice as one more RoI. Joint training keeps the statistics of batch normalisation:
# batches of the two data sets would otherwise overwrite them in turn, and there is only one slice RoI per slice. The learning
# rate is a tenth of the base config's, with which the slice loss of a trained head rose from 0.01 to over 1 within 20 steps.
# Lesions are augmented as in mask_rcnn_folders_strong_8e.py.
_base_ = ['./affinity_c8_from_scratch.py', '../_base_/datasets/augmentation.py']
model = dict(
    backbone=dict(norm_eval=True),
    roi_head=dict(cls_head=dict(slice_roi=True, norm_cfg=dict(norm_eval=True))),
)
lesion_train_pipeline = '${augmented_pipeline}'
scale_range = (0.7, 1.6)
kernel_prob = 0.7
optim_wrapper = dict(optimizer=dict(lr=1e-5))
load_from = 'work_dirs/affinity_c8_slice_roi_from_scratch.pth'
