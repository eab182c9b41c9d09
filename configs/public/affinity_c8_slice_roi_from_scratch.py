# affinity_c8_from_scratch.py with the whole slice as one more RoI and, in joint training, horizontal flips. The slice head is
# frozen there: with one such RoI per slice, a batch of four is too small for the statistics of its batch normalisation.
_base_ = './affinity_c8_from_scratch.py'
model = dict(frozen_parts=['roi_head.cls_head'], roi_head=dict(cls_head=dict(slice_roi=True)))
lesion_flip_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSliceInputs'),
]
slice_flip_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
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
                pipeline=lesion_flip_pipeline,
            ),
            dict(
                type='SliceDataset',
                data_root='${data_root}',
                slice_classes='${slice_classes}',
                ann_file='annotations/slices_train.json',
                pipeline=slice_flip_pipeline,
            ),
        ],
    ),
)
load_from = 'work_dirs/affinity_c8_slice_roi_from_scratch.pth'
