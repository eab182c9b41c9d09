# The phantom in CNCB-NCOV's layout: synthetic slices of 256 x 256 from tools/dataset_converters/phantom.py, converted by
# tools/dataset_converters/cncb_ncov.py. It stands for data that may not be redistributed, never for results.
# `data_root` is handed to every dataset below that names no root of its own.
data_root = 'data/phantom/cncb_ncov'
image_size = (256, 256)
slice_classes = ('Normal', 'CP', 'COVID-19')

lesion_train_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    dict(type='PackSliceInputs'),
]
lesion_test_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    # After resizing: predictions are returned, and compared, in the size of the original image.
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='PackSliceInputs'),
]
slice_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    dict(type='PackSliceInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='AlternatingSampler'),
    batch_sampler=dict(type='AlternatingBatchSampler'),
    dataset=dict(
        type='MultiTaskDataset',
        datasets=[
            dict(
                type='LesionDataset',
                ann_file='annotations/lesions_train.json',
                filter_cfg=dict(filter_empty_gt=True),
                pipeline=lesion_train_pipeline),
            dict(
                type='SliceDataset',
                ann_file='annotations/slices_train.json',
                metainfo=dict(slice_classes=slice_classes),
                pipeline=slice_pipeline),
        ]))
val_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        ann_file='annotations/slices_val.json',
        metainfo=dict(slice_classes=slice_classes),
        test_mode=True,
        pipeline=slice_pipeline))
test_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='MultiTaskDataset',
        datasets=[
            dict(
                type='LesionDataset',
                ann_file='annotations/lesions_test.json',
                test_mode=True,
                pipeline=lesion_test_pipeline),
            dict(
                type='SliceDataset',
                ann_file='annotations/slices_test.json',
                metainfo=dict(slice_classes=slice_classes),
                test_mode=True,
                pipeline=slice_pipeline),
        ]))
val_evaluator = dict(type='SliceClassificationMetric')
test_evaluator = [
    dict(type='ImageAveragePrecision'),
    dict(type='LesionCocoMetric', metric=['bbox', 'segm']),
    dict(type='SliceClassificationMetric'),
]
