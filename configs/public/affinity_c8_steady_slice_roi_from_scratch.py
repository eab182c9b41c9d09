# affinity_c8_slice_roi_from_scratch.py with a continuous selection of RoIs, so that rounding and lower precision change fewer
# classes: see docs/agreement.md. Normalisation by running averages already treats each RoI independently.
_base_ = './affinity_c8_slice_roi_from_scratch.py'
model = dict(
    roi_head=dict(roi_selector=dict(_delete_=True, type='SoftRoISelector', num_candidates=16, nms_iou=0.25, sharpness=16.0)),
    # As in steady_head.py: which of two overlapping proposals survives would depend on their order.
    test_cfg=dict(rpn=dict(max_per_img=400, nms=dict(iou_threshold=1.0))),
)
load_from = 'work_dirs/affinity_c8_steady_slice_roi_from_scratch.pth'
