# Table 4: COVID-CT-Mask-Net, starting from the Mask R-CNN of mask_rcnn_full.py. Only the classifier and the affine weights of
# BatchNorm are trained. The model still segments lesions, so testing covers both tasks.
_base_ = [
    '../_base_/models/single_shot_r18.py',
    '../_base_/datasets/cncb_ncov.py',
    '../_base_/schedules/slices_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(type='CovidCTMaskNet', backbone=dict(init_cfg=None))
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_train.json',
        pipeline={{_base_.slice_pipeline}},
    ),
)
# `load_from` provides all weights except the classifier's; the segmentation branch also initialises the classification branch.
default_hooks = dict(checkpoint_guard=dict(new_layers=['roi_head.cls_head', 'roi_head.classification_branch']))
load_from = 'work_dirs/mask_rcnn_full/epoch_630.pth'
