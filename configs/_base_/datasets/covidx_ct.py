# COVIDx-CT, any version, from mmaffinity convert covidx-ct: slice labels only, as there are no lesion masks.
# `data_root`, `image_size` and `slice_classes` reach every data set below that does not say otherwise itself.
data_root = '{{$COVIDX_CT_ROOT:data/covidx_ct}}'
image_size = (512, 512)
slice_classes = ('Normal', 'CP', 'COVID-19')

slice_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='Resize', keep_ratio=False),
    dict(type='PackSliceInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # 82 % of the training slices of version 3A are COVID-19; as many are drawn of each class. Each version has that many.
    dataset=dict(
        type='SliceDataset',
        ann_file='annotations/slices_train.json',
        samples_per_class=10000,
        pipeline=slice_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        ann_file='annotations/slices_val.json',
        samples_per_class=1000,
        test_mode=True,
        pipeline=slice_pipeline))
test_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        ann_file='annotations/slices_test.json',
        test_mode=True,
        pipeline=slice_pipeline))
val_evaluator = dict(type='SliceClassificationMetric')
test_evaluator = dict(type='SliceClassificationMetric')
