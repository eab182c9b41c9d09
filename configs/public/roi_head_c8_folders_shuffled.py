# Ablation of roi_head_c8_folders.py: the RoIs of each slice in a random but fixed order, in training and test.
_base_ = './roi_head_c8_folders.py'
roi_pipeline = [dict(type='LoadStoredRoIs', folder='{{$STORED_ROIS:data/rois}}', shuffle=True)]
train_dataloader = dict(dataset=dict(pipeline=roi_pipeline))
val_dataloader = dict(dataset=dict(pipeline=roi_pipeline))
test_dataloader = dict(dataset=dict(pipeline=roi_pipeline))
