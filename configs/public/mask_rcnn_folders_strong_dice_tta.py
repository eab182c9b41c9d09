# Tests the weights of mask_rcnn_folders_strong_dice_8e.py on four views of each slice, which raises AP50 and takes up to
# four times as long. Training is unchanged.
_base_ = ['./mask_rcnn_folders_strong_dice_8e.py', '../_base_/models/four_views.py']
model = dict(type='TTAMaskRCNN', test_cfg=dict(views={{_base_.four_views}}))
