# Lesions from NIfTI volumes with masks (`mmaffinity convert nifti-pairs`) and labelled slices from COVID-CT-MD (`mmaffinity
# convert covid-ct-md`). `data_root` is that of COVID-CT-MD, whose training slices give the grey-level statistics; the
# environment variable NIFTI_PAIRS_ROOT sets the root of the lesions.
_base_ = './cncb_ncov.py'
data_root = '{{$COVID_CT_MD_ROOT:data/covid_ct_md}}'
train_dataloader = dict(
    dataset=dict(datasets=[
        dict(
            type='LesionDataset',
            data_root='{{$NIFTI_PAIRS_ROOT:data/nifti_pairs}}',
            ann_file='annotations/lesions_train.json',
            filter_cfg=dict(filter_empty_gt=True),
            pipeline={{_base_.lesion_train_pipeline}}),
        dict(
            type='SliceDataset',
            data_root='${data_root}',
            slice_classes='${slice_classes}',
            ann_file='annotations/slices_train.json',
            pipeline={{_base_.slice_pipeline}}),
    ]))
# All slices of the validation patients; their number depends on the options of the conversion.
val_dataloader = dict(dataset=dict(samples_per_class=None))
test_dataloader = dict(
    dataset=dict(datasets=[
        dict(
            type='LesionDataset',
            data_root='{{$NIFTI_PAIRS_ROOT:data/nifti_pairs}}',
            ann_file='annotations/lesions_test.json',
            test_mode=True,
            pipeline={{_base_.lesion_test_pipeline}}),
        dict(
            type='SliceDataset',
            data_root='${data_root}',
            slice_classes='${slice_classes}',
            ann_file='annotations/slices_test.json',
            test_mode=True,
            pipeline={{_base_.slice_pipeline}}),
    ]))
