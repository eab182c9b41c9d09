# affinity_c8_slice_roi_from_scratch.py with a continuous selection of RoIs, so that rounding and lower precision change fewer
# classes: see docs/agreement.md. Normalisation by running averages already treats each RoI independently.
_base_ = ['./affinity_c8_slice_roi_from_scratch.py', '../_base_/models/steady_head.py']
model = {{_base_.steady_selection}}
load_from = 'work_dirs/affinity_c8_steady_slice_roi_from_scratch.pth'
