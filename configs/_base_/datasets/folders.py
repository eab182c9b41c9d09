# Your own folders: lesions from `mmaffinity convert image-pairs`, labelled slices from `mmaffinity convert class-folders`.
# `data_root` is that of the labelled slices, whose training slices give the grey-level statistics; the environment variables
# CLASS_FOLDERS_ROOT and IMAGE_PAIRS_ROOT set the folders.
_base_ = './cncb_ncov.py'
data_root = '{{$CLASS_FOLDERS_ROOT:data/class_folders}}'
lesion_root = '{{$IMAGE_PAIRS_ROOT:data/image_pairs}}'
slice_classes = None  # read from the lists; `num_classes` of the model's cls_head is their number
val_dataloader = dict(dataset=dict(samples_per_class=None))
