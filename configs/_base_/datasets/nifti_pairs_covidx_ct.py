# Lesions from NIfTI volumes with masks (`mmaffinity convert nifti-pairs`) and labelled slices from COVIDx-CT (`mmaffinity
# convert covidx-ct`), 1000 of each class as in the paper. `data_root` is the root of COVIDx-CT; the grey-level statistics come
# from its training slices. The environment variable NIFTI_PAIRS_ROOT sets the root of the lesions. COVIDx-CT 2 and 3 contain
# scans of COVID-19-CT-Seg and COVID-19-20; if lesions come from these, use version 1 (docs/data.md).
_base_ = './cncb_ncov.py'
data_root = '{{$COVIDX_CT_ROOT:data/covidx_ct}}'
lesion_root = '{{$NIFTI_PAIRS_ROOT:data/nifti_pairs}}'
train_dataloader = dict(
    dataset=dict(
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
                samples_per_class=1000,
                pipeline={{_base_.slice_pipeline}},
            ),
        ]
    )
)
