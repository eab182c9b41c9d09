# Labelled slices of folders (`mmaffinity convert class-folders`), each as the RoIs that a detector found in it (`mmaffinity
# rois extract`). The environment variables CLASS_FOLDERS_ROOT and STORED_ROIS move them.
data_root = '{{$CLASS_FOLDERS_ROOT:data/class_folders}}'
slice_classes = None
roi_pipeline = [dict(type='LoadStoredRoIs', folder='{{$STORED_ROIS:data/rois}}')]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_train.json',
        pipeline=roi_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_val.json',
        test_mode=True,
        pipeline=roi_pipeline))
test_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_test.json',
        test_mode=True,
        pipeline=roi_pipeline))
val_evaluator = dict(type='SliceClassificationMetric')
test_evaluator = [dict(type='SliceClassificationMetric')]
