# Augmentation of lesion slices: flips, rotation, scale, position, window and, optionally, sharpness and noise. The paper uses
# none. A config with lesions and labelled slices switches it on with
#     lesion_train_pipeline = '${augmented_pipeline}'
scale_range = (0.8, 1.25)
kernel_prob = 0.0  # share of slices that are smoothed or to which noise is added
augmented_pipeline = [
    dict(type='LoadCTSlice'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
    dict(type='Resize', scale='${image_size}', keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Rotate', prob=0.7, max_mag=15.0, img_border_value=0),  # degrees
    dict(type='RandomResize', scale='${image_size}', ratio_range='${scale_range}', keep_ratio=True),
    # Boxes are recomputed from the masks, because rotation widens them.
    dict(type='RandomCrop', crop_size='${image_size}', allow_negative_crop=True, recompute_bbox=True),
    dict(type='Pad', size='${image_size}'),
    dict(type='RandomWindow', prob=0.5, max_shift=0.15, max_scale=1.4),
    dict(type='RandomKernel', prob='${kernel_prob}', max_sigma=1.5, max_noise=40),
    # Remove fragments that cropping has made too small to count as lesions.
    dict(type='FilterAnnotations', min_gt_bbox_wh=(3, 3), by_mask=True, min_gt_mask_area=25, keep_empty=False),
    dict(type='PackSliceInputs'),
]
