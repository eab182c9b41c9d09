# CNCB-NCOV, lesions only.
_base_ = './cncb_ncov.py'
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type='LesionDataset',
        metainfo=dict(classes='${lesion_classes}'),
        data_root='${data_root}',
        ann_file='annotations/lesions_train.json',
        filter_cfg=dict(filter_empty_gt=True),
        pipeline='${lesion_train_pipeline}',
    ),
)
val_dataloader = None
val_evaluator = None
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='LesionDataset',
        metainfo=dict(classes='${lesion_classes}'),
        data_root='${data_root}',
        ann_file='annotations/lesions_test.json',
        test_mode=True,
        pipeline={{_base_.lesion_test_pipeline}},
    )
)
test_evaluator = [
    dict(type='ImageAveragePrecision'),
    dict(type='LesionCocoMetric', metric=['bbox', 'segm']),
]
