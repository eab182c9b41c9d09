# CNCB-NCOV: lesion slices and slice labels, from `mmaffinity convert cncb-ncov`. `data_root`, `image_size`, `slice_classes`,
# `lesion_classes` and `image_loader` apply to every data set below that does not override them. A child config can replace
# `lesion_train_pipeline`.
data_root = '{{$CNCB_NCOV_ROOT:data/cncb_ncov}}'
lesion_root = '${data_root}'  # root of the lesion slices; other data sets override it
image_size = (512, 512)
slice_classes = ('Normal', 'CP', 'COVID-19')
lesion_classes = ('lesion',)
image_loader = 'LoadCTSlice'  # reads grayscale slices

lesion_train_pipeline = [
    dict(type='${image_loader}'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='PackSliceInputs'),
]
lesion_test_pipeline = [
    dict(type='${image_loader}'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    # Annotations are loaded after resizing, because predictions are evaluated at the original image size.
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='PackSliceInputs'),
]
slice_pipeline = [
    dict(type='${image_loader}'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='PackSliceInputs'),
]

train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='AlternatingSampler'),
    batch_sampler=dict(type='AlternatingBatchSampler'),
    dataset=dict(
        type='MultiTaskDataset',
        datasets=[
            dict(
                type='LesionDataset',
                metainfo=dict(classes='${lesion_classes}'),
                data_root='${lesion_root}',
                ann_file='annotations/lesions_train.json',
                filter_cfg=dict(filter_empty_gt=True),
                pipeline='${lesion_train_pipeline}',
            ),
            dict(
                type='SliceDataset',
                data_root='${data_root}',
                slice_classes='${slice_classes}',
                ann_file='annotations/slices_train.json',
                pipeline=slice_pipeline,
            ),
        ],
    ),
)
# The published lists have no validation slices for segmentation, and test slices must not serve for validation.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_val.json',
        samples_per_class=300,
        test_mode=True,
        pipeline=slice_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='MultiTaskDataset',
        datasets=[
            dict(
                type='LesionDataset',
                metainfo=dict(classes='${lesion_classes}'),
                data_root='${lesion_root}',
                ann_file='annotations/lesions_test.json',
                test_mode=True,
                pipeline=lesion_test_pipeline,
            ),
            dict(
                type='SliceDataset',
                data_root='${data_root}',
                slice_classes='${slice_classes}',
                ann_file='annotations/slices_test.json',
                test_mode=True,
                pipeline=slice_pipeline,
            ),
        ],
    ),
)
val_evaluator = dict(type='SliceClassificationMetric')
test_evaluator = [
    dict(type='ImageAveragePrecision'),
    dict(type='LesionCocoMetric', metric=['bbox', 'segm']),
    dict(type='SliceClassificationMetric'),
]
