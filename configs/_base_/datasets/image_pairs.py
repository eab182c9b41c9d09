# Lesions from folders of slices and masks (`mmaffinity convert image-pairs`), with flips. The environment variable
# IMAGE_PAIRS_ROOT sets the folder.
_base_ = './nifti_pairs.py'  # also defines validation patients
data_root = '{{$IMAGE_PAIRS_ROOT:data/image_pairs}}'
image_size = (256, 256)
flip_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSliceInputs'),
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=flip_pipeline))
val_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=4)
