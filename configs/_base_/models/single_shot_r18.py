# The Single-Shot Model: the affinity model's two branches with a slice head that reads the scores and raw box deltas of the
# 128 best boxes, which may overlap more.
_base_ = './affinity_rcnn_r18.py'
model = dict(
    roi_head=dict(
        roi_selector=dict(nms_iou=0.75),
        cls_head=dict(_delete_=True, type='SingleShotClsHead', num_classes=3, num_rois=128, fc_channels=(512, 512)),
    )
)
