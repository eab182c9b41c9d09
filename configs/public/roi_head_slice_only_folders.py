# Ablation of roi_head_c8_slice_roi_folders.py: the whole slice as the only RoI.
_base_ = './roi_head_c8_folders.py'
roi_pipeline = [dict(type='LoadStoredRoIs', folder='{{$STORED_ROIS:data/rois}}', keep='slice')]
train_dataloader = dict(dataset=dict(pipeline=roi_pipeline))
val_dataloader = dict(dataset=dict(pipeline=roi_pipeline))
test_dataloader = dict(dataset=dict(pipeline=roi_pipeline))
model = dict(roi_head=dict(cls_head=dict(num_rois=1)))
