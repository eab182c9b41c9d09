# ResNet-18 as a plain slice classifier on COVIDx-CT: 10 epochs of 30 000 slices. Learning rate and epochs are not tuned.
_base_ = [
    '../_base_/models/slice_classifier_r18.py',
    '../_base_/datasets/covidx_ct.py',
    '../_base_/schedules/slices_100e.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_epochs=10, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
