# Ablation of roi_head_c8_folders.py: only the scores and box deltas of the RoIs, as in the Single-Shot Model.
_base_ = './roi_head_c8_folders.py'
model = dict(
    roi_head=dict(cls_head=dict(_delete_=True, type='SingleShotClsHead', num_classes=2, num_rois=8, fc_channels=(128, 128)))
)
