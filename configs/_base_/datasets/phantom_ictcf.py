# The phantom in iCTCF's layout: synthetic slices of 256 x 256 from tools/dataset_converters/phantom.py, converted by
# tools/dataset_converters/ictcf.py. It stands for data that may not be redistributed, never for results.
data_root = 'data/phantom/ictcf'
image_size = (256, 256)
slice_classes = ('Negative', 'COVID-19')

slice_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    dict(type='PackSliceInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='SliceDataset',
        ann_file='annotations/slices_train.json',
        metainfo=dict(slice_classes=slice_classes),
        pipeline=slice_pipeline))
val_dataloader = None
val_evaluator = None
test_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        ann_file='annotations/slices_test.json',
        metainfo=dict(slice_classes=slice_classes),
        test_mode=True,
        pipeline=slice_pipeline))
test_evaluator = dict(type='SliceClassificationMetric')
