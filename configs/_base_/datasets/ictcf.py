# iCTCF: slice labels only, from tools/dataset_converters/ictcf.py. There are no lesion masks, so fine-tuning consists of
# classification stages only. `data_root`, `image_size` and `slice_classes` apply to every data set below.
data_root = '{{$ICTCF_ROOT:data/ictcf}}'
image_size = (512, 512)
slice_classes = ('Negative', 'COVID-19')

slice_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='PackSliceInputs'),
]

train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_train.json',
        pipeline=slice_pipeline,
    ),
)
# The published lists have no validation split.
val_dataloader = None
val_evaluator = None
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_test.json',
        test_mode=True,
        pipeline=slice_pipeline,
    ),
)
test_evaluator = dict(type='SliceClassificationMetric')
