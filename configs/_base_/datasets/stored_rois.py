# Labelled slices from folders (`mmaffinity convert class-folders`), each as the RoIs that a detector found in it (`mmaffinity
# rois extract`). The environment variables CLASS_FOLDERS_ROOT and STORED_ROIS set the folders.
_base_ = './class_folders.py'
roi_pipeline = [dict(type='LoadStoredRoIs', folder='{{$STORED_ROIS:data/rois}}')]
train_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False, dataset=dict(pipeline=roi_pipeline))
val_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False, dataset=dict(pipeline=roi_pipeline))
test_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False, dataset=dict(pipeline=roi_pipeline))
