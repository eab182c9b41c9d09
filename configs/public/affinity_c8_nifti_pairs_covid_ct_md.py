# The affinity model, C* = 8, with the paper's recipe on lesions from NIfTI volumes and labelled slices from COVID-CT-MD.
_base_ = [
    '../_base_/models/affinity_rcnn_r18.py',
    '../_base_/datasets/nifti_pairs_covid_ct_md.py',
    '../_base_/schedules/alternating_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(cls_head=dict(num_affinities=8)))
