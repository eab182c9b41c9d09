# The affinity model as the author's published code runs it; what differs from the paper's is listed in
# docs/published_models.md.
_base_ = './affinity_rcnn_r18.py'
model = dict(
    # Each slice by its own mean and unbiased standard deviation.
    data_preprocessor=dict(_delete_=True, type='SliceDataPreprocessor', normalization='slice', num_channels=3),
    # Here, and wherever the last bit is mentioned: what rounds as the published code does. The faster ways of the base
    # config are as precise, but the affinity layer makes a last bit some 1e-3 in Y and 1e-4 in the logits.
    backbone=dict(fold_norm=False, channels_last=False),
    roi_head=dict(
        # The last bit: the order of a sum, and division by weights instead of multiplication by deviations.
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            bbox_coder=dict(
                _delete_=True, type='WeightedBoxCoder', weights=(10., 10., 5., 5.), wh_ratio_clip=16 / 1000)),
        # The last bit: RoIAlign in the order of mmcv's kernel here, no folding of layers below.
        bbox_roi_extractor=dict(roi_layer=dict(type='RoIAlign')),
        mask_roi_extractor=dict(roi_layer=dict(type='RoIAlign')),
        mask_head=dict(soft_targets=True),
        # A convolution that no other branch has; it is neither trained nor copied.
        mask_feature_head=dict(extra_conv=True, fold=False),
        # The published code draws anew, at every call, which boxes fill the places where a slice has fewer than beta.
        # 'even' is one of its possible draws and the same each time; 'random' draws as it does.
        # Saturated scores are equal, and how it ranks those hangs on the processor, as in the published code.
        roi_selector=dict(stretch='even', ties='unstable'),
        # Three copies of one block, run three times.
        cls_head=dict(refinement=dict(num_stages=9, shared=True), fold=False)))
