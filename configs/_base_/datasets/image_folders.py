# Your own colour images, in the layout of folders.py: instances with masks, and labelled images.
_base_ = './folders.py'
instance_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='PackSliceInputs'),
]
instance_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    # Loaded after resizing, because predictions are returned and evaluated at the original image size.
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='PackSliceInputs'),
]
image_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='PackSliceInputs'),
]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(
                type='LesionDataset',
                data_root='${lesion_root}',
                ann_file='annotations/lesions_train.json',
                filter_cfg=dict(filter_empty_gt=True),
                pipeline=instance_train_pipeline,
            ),
            dict(
                type='SliceDataset',
                data_root='${data_root}',
                slice_classes='${slice_classes}',
                ann_file='annotations/slices_train.json',
                pipeline=image_pipeline,
            ),
        ]
    )
)
val_dataloader = dict(dataset=dict(pipeline=image_pipeline))
test_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(
                type='LesionDataset',
                data_root='${lesion_root}',
                ann_file='annotations/lesions_test.json',
                test_mode=True,
                pipeline=instance_test_pipeline,
            ),
            dict(
                type='SliceDataset',
                data_root='${data_root}',
                slice_classes='${slice_classes}',
                ann_file='annotations/slices_test.json',
                test_mode=True,
                pipeline=image_pipeline,
            ),
        ]
    )
)
