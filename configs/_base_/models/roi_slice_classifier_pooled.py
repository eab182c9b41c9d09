# Only the slice head of affinity_rcnn_r18_pooled.py, on stored RoIs.
_base_ = './affinity_rcnn_r18_pooled.py'
model = dict(_delete_=True, type='RoISliceClassifier', roi_head=dict(cls_head={{_base_.model.roi_head.cls_head}}))
