# Overrides that make the slice head of a leaf config continuous in scores and boxes, so that rounding differences between
# machines change the output as little as the features. SoftRoISelector has the derivation, docs/agreement.md the
# measurements:
#     _base_ = ['./affinity_c8.py', '_base_/models/steady_head.py']
#     model = {{_base_.steady_head}}
# `steady_selection` is the part that does not concern the slice head's own layers.
steady_selection = dict(
    roi_head=dict(
        roi_selector=dict(_delete_=True, type='SoftRoISelector', num_candidates=16, nms_iou=0.25, sharpness=16.0),
    ),
    # No suppression in the RPN: which of two overlapping proposals survives would depend on their order.
    test_cfg=dict(rpn=dict(max_per_img=400, nms=dict(iou_threshold=1.0))),
)
steady_head = dict(
    roi_head=dict(
        **steady_selection['roi_head'],
        # GN normalises each RoI independently, so a RoI without weight does not affect the others through shared statistics.
        # W v starts as 1, so z, the sum of the lesions' vectors, distinguishes slices from the first step, and the classifier
        # trains from the paper's initialisation even if steps are few.
        cls_head=dict(norm_cfg=dict(type='GN', num_groups=32), unit_roi_weights=True, classifier_std=None),
    ),
    test_cfg=steady_selection['test_cfg'],
)
