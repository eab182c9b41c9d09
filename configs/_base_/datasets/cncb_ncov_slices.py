# CNCB-NCOV, slice labels only.
_base_ = './cncb_ncov.py'
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_train.json',
        pipeline={{_base_.slice_pipeline}},
    ),
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SliceDataset',
        data_root='${data_root}',
        slice_classes='${slice_classes}',
        ann_file='annotations/slices_test.json',
        test_mode=True,
        pipeline={{_base_.slice_pipeline}},
    )
)
test_evaluator = [dict(type='SliceClassificationMetric')]
