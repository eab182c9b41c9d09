# The affinity model as implemented in the author's published code. docs/published_models.md lists the differences from the
# paper's form.
_base_ = './affinity_rcnn_r18.py'
model = dict(
    # Each slice is normalised by its own mean and unbiased standard deviation.
    data_preprocessor=dict(_delete_=True, type='SliceDataPreprocessor', normalization='slice', num_channels=3),
    # Here and below, "last bit" marks settings that round like the published code. The faster types in the base config are
    # equally precise, but the affinity layer amplifies a last-bit difference to about 1e-3 in Y and 1e-4 in the logits.
    backbone=dict(fold_norm=False, channels_last=False),
    roi_head=dict(
        # Last bit: summation order, and division by weights instead of multiplication by standard deviations.
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            bbox_coder=dict(_delete_=True, type='WeightedBoxCoder', weights=(10.0, 10.0, 5.0, 5.0), wh_ratio_clip=16 / 1000),
        ),
        # Last bit: RoIAlign sums in the order of mmcv's kernel; layers below are not folded.
        bbox_roi_extractor=dict(roi_layer=dict(type='RoIAlign')),
        mask_roi_extractor=dict(roi_layer=dict(type='RoIAlign')),
        mask_head=dict(soft_targets=True),
        # Only this branch has this convolution; it is neither trained nor copied.
        mask_feature_head=dict(type='MaskFeatureHead', extra_conv=True),
        # If a slice has fewer than beta boxes, the published code fills the list at random in every call, like 'random'. 'even'
        # is one of its possible draws, and deterministic.
        # Saturated scores are equal, so their ranking depends on the processor, as in the published code.
        roi_selector=dict(stretch='even', ties='unstable'),
        # One shared block, applied nine times (three times three).
        cls_head=dict(type='AffinityClsHead', refinement=dict(num_stages=9, shared=True)),
    ),
)
