# Table 4: ResNet-18 as a plain slice classifier, without lesions.
_base_ = [
    '../_base_/models/slice_classifier_r18.py',
    '../_base_/datasets/cncb_ncov_slices.py',
    '../_base_/schedules/slices_100e.py',
    '../_base_/default_runtime.py',
]
