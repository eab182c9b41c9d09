# Your own folders: lesions from `mmaffinity convert image-pairs`, labelled slices from `mmaffinity convert class-folders`.
# `data_root` is the root of the labelled slices; the grey-level statistics come from their training slices. The environment
# variables CLASS_FOLDERS_ROOT and IMAGE_PAIRS_ROOT set the folders.
_base_ = './cncb_ncov.py'
data_root = '{{$CLASS_FOLDERS_ROOT:data/class_folders}}'
lesion_root = '{{$IMAGE_PAIRS_ROOT:data/image_pairs}}'
slice_classes = None  # read from the lists; must match `num_classes` of the model's cls_head
val_dataloader = dict(dataset=dict(samples_per_class=None))
