# roi_head_c8_slice_roi_folders.py with augmentation: in training, each slice is replaced by its mirror image with probability
# 0.5. `mmaffinity rois extract --flip` stores the RoIs of both. The same number of steps, each with twice as many slices.
_base_ = './roi_head_c8_slice_roi_folders.py'
roi_train_pipeline = [dict(type='LoadStoredRoIs', folder='{{$STORED_ROIS:data/rois}}', flip_prob=0.5)]
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=roi_train_pipeline))
train_cfg = dict(max_epochs=40)
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=40, convert_to_iter_based=True, eta_min_ratio=0.01),
]
