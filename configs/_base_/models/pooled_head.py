# Overrides with which the slice head of a leaf config learns from a few thousand slices: mean and maximum of the mask
# features of each RoI, one layer per RoI, then W, v and the classifier as in the paper. docs/public_results.md compares it
# with the paper's head:
#     model = {{_base_.pooled_head}}
pooled_head = dict(
    roi_head=dict(
        mask_feature_head=dict(type='PooledMaskFeatureHead'),
        cls_head=dict(
            type='AffinityClsHead',
            in_channels=512,
            roi_size=1,
            refinement=False,
            norm_cfg=dict(type='BN'),
            unit_roi_weights=True,
            classifier_std=0.05,
        ),
    )
)
