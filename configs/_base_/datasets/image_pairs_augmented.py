# image_pairs.py with augmentation.
_base_ = ['./image_pairs.py', './augmentation.py']
train_dataloader = dict(dataset=dict(pipeline='${augmented_pipeline}'))
