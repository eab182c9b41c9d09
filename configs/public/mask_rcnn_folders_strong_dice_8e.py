# As mask_rcnn_folders_strong_8e.py, but the mask loss also measures overlap.
_base_ = './mask_rcnn_folders_strong_8e.py'
model = dict(roi_head=dict(mask_head=dict(loss_mask=dict(type='MaskDiceLoss', _delete_=True))))
