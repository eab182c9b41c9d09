# Folders of your own: lesions from `mmaffinity convert image-pairs`, labelled slices from `mmaffinity convert class-folders`.
# `data_root` is the latter's, whose training slices give the grey-level statistics; the environment variables
# CLASS_FOLDERS_ROOT and IMAGE_PAIRS_ROOT move them.
_base_ = './cncb_ncov.py'
data_root = '{{$CLASS_FOLDERS_ROOT:data/class_folders}}'
slice_classes = None  # those of the lists; `num_classes` of the model's cls_head is their number
train_dataloader = dict(
    dataset=dict(datasets=[
        dict(
            type='LesionDataset',
            data_root='{{$IMAGE_PAIRS_ROOT:data/image_pairs}}',
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
val_dataloader = dict(dataset=dict(samples_per_class=None))
test_dataloader = dict(
    dataset=dict(datasets=[
        dict(
            type='LesionDataset',
            data_root='{{$IMAGE_PAIRS_ROOT:data/image_pairs}}',
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
