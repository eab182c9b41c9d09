# roi_head_c8_slice_roi_folders.py with mirror images: half of the RoIs in training are those of the mirrored slice, which
# `mmaffinity rois extract --flip` stores.
_base_ = './roi_head_c8_slice_roi_folders.py'
roi_train_pipeline = [dict(type='LoadStoredRoIs', folder='{{$STORED_ROIS:data/rois}}', flip_prob=0.5)]
train_dataloader = dict(dataset=dict(pipeline=roi_train_pipeline))
