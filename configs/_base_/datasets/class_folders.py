# Labelled slices from folders (`mmaffinity convert class-folders`), without lesions. The environment variable
# CLASS_FOLDERS_ROOT sets the folder.
_base_ = './cncb_ncov_slices.py'
data_root = '{{$CLASS_FOLDERS_ROOT:data/class_folders}}'
slice_classes = None
flip_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSliceInputs'),
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=flip_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(samples_per_class=None))
test_dataloader = dict(batch_size=16)
