# The fields that make the slice head of a leaf config continuous in scores and boxes, so that rounding, and with it the
# machine, moves the answer by as little as it moves the features; SoftRoISelector derives it, docs/agreement.md measures it:
#     _base_ = ['./affinity_c8.py', '_base_/models/steady_head.py']
#     model = {{_base_.steady_head}}
steady_head = dict(
    roi_head=dict(
        roi_selector=dict(_delete_=True, type='SoftRoISelector', num_candidates=16, nms_iou=0.25, sharpness=16.0),
        # Each RoI by itself: a RoI without weight does not reach the others through shared statistics.
        # W v starts as 1: z, the sum of the lesions' vectors, tells slices apart from the first step on, and the classifier
        # trains from the paper's start also where few steps are taken.
        cls_head=dict(norm_cfg=dict(type='GN', num_groups=32), unit_roi_weights=True, classifier_std=None),
    ),
    # No suppression in the RPN: which of two overlapping proposals stays would hang on their order.
    test_cfg=dict(rpn=dict(max_per_img=400, nms=dict(iou_threshold=1.0))),
)
