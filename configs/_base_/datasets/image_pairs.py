# Lesions of folders of slices and masks, from `mmaffinity convert image-pairs`, with flips. The environment variable
# IMAGE_PAIRS_ROOT moves them.
_base_ = './cncb_ncov_lesions.py'
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
# These data have validation patients, for lesions too.
val_dataloader = dict(
    _delete_=True,
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='LesionDataset',
        data_root='${data_root}',
        ann_file='annotations/lesions_val.json',
        test_mode=True,
        pipeline={{_base_.lesion_test_pipeline}}))
val_evaluator = dict(_delete_=True, type='ImageAveragePrecision')
test_dataloader = dict(batch_size=4)
