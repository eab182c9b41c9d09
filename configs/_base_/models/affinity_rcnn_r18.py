# The affinity model: ResNet-18 up to stage 3, one FPN level, two RoI branches, affinity head.
# Leaf configs set C* (num_affinities) and the number of classes.
# GreyResNet, SparseRoIAlign, LesionBBoxHead and the types that start with Fast are faster on CPUs and, up to rounding,
# equivalent to MMDetection's ResNet, RoIAlign and Shared2FCBBoxHead and the types without Fast (mmaffinity/models/fast).
model = dict(
    type='AffinityRCNN',
    # Mean and standard deviation of the training slices; the path is relative to `data_root`. The converters write this file,
    # `mmaffinity statistics` writes it for your own data, and training computes the values if it is missing.
    data_preprocessor=dict(
        type='SliceDataPreprocessor', normalization='global', statistics='annotations/statistics.json', num_channels=1
    ),
    # Replaces type='ResNet' without channels_last, and num_channels=3.
    backbone=dict(
        type='GreyResNet',
        channels_last=True,  # requires SingleLevelRoIExtractor
        depth=18,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        # ImageNet weights, or a local file; init_cfg=None trains from scratch.
        init_cfg=dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet18-f37072fd.pth'),
    ),
    neck=dict(type='FPN', in_channels=[256], out_channels=256, num_outs=1),
    rpn_head=dict(
        type='LogitRankedRPNHead',
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(
            type='RoundedAnchorGenerator',
            strides=[16],
            base_sizes=[1],
            scales=[2, 4, 8, 16, 32],
            ratios=[0.1, 0.25, 0.5, 1.0, 1.5, 2.0],
            scale_major=True,
            center_offset=0.0,
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            # Sizes grow by a factor of at most 1000 / 16, this coder's default limit.
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    roi_head=dict(
        type='FastAffinityRoIHead',
        bbox_roi_extractor=dict(
            type='SingleLevelRoIExtractor',
            # Ten times as fast as 'RoIAlign' on CPUs; falls back to it on other devices. The two differ in the last bits.
            roi_layer=dict(type='SparseRoIAlign', output_size=7, sampling_ratio=2, aligned=False),
            out_channels=256,
            featmap_strides=[16],
        ),
        bbox_head=dict(
            type='LesionBBoxHead',
            in_channels=256,
            fc_out_channels=128,
            roi_feat_size=7,
            num_classes=1,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
        ),
        mask_roi_extractor=dict(
            type='SingleLevelRoIExtractor',
            roi_layer=dict(type='SparseRoIAlign', output_size=14, sampling_ratio=2, aligned=False),
            out_channels=256,
            featmap_strides=[16],
        ),
        mask_head=dict(
            type='FastLesionMaskHead',
            num_convs=1,
            in_channels=256,
            conv_out_channels=256,
            num_classes=1,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
            soft_targets=False,
        ),
        # Classification branch: the beta best boxes (beta = cls_head.num_rois) without a score threshold.
        mask_feature_head=dict(type='FastMaskFeatureHead', extra_conv=False),
        roi_selector=dict(type='TopRoISelector', nms_iou=0.25, min_area=1e-5, stretch='even'),
        cls_head=dict(
            type='FastAffinityClsHead',
            num_classes=3,
            num_rois=8,
            num_affinities=8,
            in_channels=256,
            roi_size=28,
            refinement=dict(num_stages=3, mid_channels=128, shared=False),
            fc_channels=(128, 128),
            class_reduction='mean',
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                # The best anchors of each lesion are positive even at low IoU, unless they do not overlap it.
                min_pos_iou=1e-6,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.75, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(nms_pre=400, max_per_img=200, nms=dict(type='nms', iou_threshold=0.75), min_bbox_size=-1),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.75,
                neg_iou_thr=0.5,
                min_pos_iou=0.75,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.75, neg_pos_ub=-1, add_gt_as_proposals=True),
            mask_size=28,
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        mode='both',
        rpn=dict(nms_pre=400, max_per_img=200, nms=dict(type='nms', iou_threshold=0.75), min_bbox_size=-1),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100, mask_thr_binary=0.5),
    ),
)
