# Lesions from NIfTI volumes with masks (`mmaffinity convert nifti-pairs`); docs/data.md lists public data sets.
_base_ = './cncb_ncov_lesions.py'
data_root = '{{$NIFTI_PAIRS_ROOT:data/nifti_pairs}}'
# Unlike the published lists, this data has validation patients for lesions.
val_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='LesionDataset',
        metainfo=dict(classes='${lesion_classes}'),
        data_root='${data_root}',
        ann_file='annotations/lesions_val.json',
        test_mode=True,
        pipeline={{_base_.lesion_test_pipeline}},
    ),
)
val_evaluator = dict(_delete_=True, type='ImageAveragePrecision')
