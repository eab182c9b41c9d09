# Test-time augmentation: lesions are predicted from the mean of four views of each slice, the original and its mirror image,
# and both of them shifted by half the feature stride. All parts except the RPN run four times.
#     _base_ = ['./affinity_c8.py', './_base_/models/four_views.py']
#     model = dict(test_cfg=dict(views={{_base_.four_views}}))
four_views = [dict(flip=True), dict(shift=True), dict(flip=True, shift=True)]
