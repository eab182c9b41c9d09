"""A Mask R-CNN that also classifies the slice, trained in two alternating stages."""

from collections.abc import Sequence

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmaffinity.models.roi_heads import AffinityRoIHead
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION, SliceDataSample, batch_task

from .tta import predict_views, read_views

MODES = ('both', 'detection', 'classification')


@MODELS.register_module()
class AffinityRCNN(TwoStageDetector):
    """Detect lesion instances and classify the slice in one pass (paper, Section 3).

    Training alternates between two stages (:class:`AlternatingLossHook` calls :meth:`set_stage`). The segmentation stage trains
    the backbone, neck, RPN and segmentation branch. The classification stage trains the backbone, neck and slice head, through
    the frozen classification branch.

    Args:
        backbone, neck, rpn_head, train_cfg, data_preprocessor, init_cfg: as for any two-stage detector.
        roi_head: config of an :class:`AffinityRoIHead`.
        test_cfg: as for any two-stage detector; ``mode`` selects what :meth:`predict` computes: 'both' (default),
            'detection' or 'classification'; ``views`` lists views of each slice, in addition to the original,
            over which :func:`predict_views` averages the lesion predictions. The slice class comes from the original alone.
        compile_parts: names of submodules to compile with ``torch.compile``, for example ``['backbone', 'rpn_head']``. This
            needs a C++ compiler and takes a minute for the first slice; docs/speed.md has measurements. Checkpoints are
            unaffected.
        frozen_parts: names of submodules that no stage trains, for example ``['backbone', 'neck']`` to fine-tune only the
            slice head. Their BatchNorm runs in evaluation mode, and gradients that only they need are not computed.

    Raises:
        ValueError: if ``roi_head`` is of another type, the preprocessor pads masks, ``mode`` is unknown, a view is invalid or
            unsupported by the RoI head, the model has no submodule with a given name, or the RoI extractors cannot read the
            backbone's channels-last features.
    """

    def __init__(
        self,
        backbone: dict,
        roi_head: dict,
        rpn_head: dict,
        train_cfg: dict,
        test_cfg: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        compile_parts: Sequence[str] = (),
        frozen_parts: Sequence[str] = (),
    ) -> None:
        _check_roi_head(roi_head)
        super().__init__(
            backbone=backbone,
            neck=neck,
            rpn_head=rpn_head,
            roi_head=roi_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        if getattr(self.data_preprocessor, 'pad_mask', False):
            raise ValueError('set pad_mask=False of data_preprocessor: labelled slices have no masks to pad')
        self.mode = test_cfg.get('mode', 'both')
        if self.mode not in MODES:
            raise ValueError(f'mode of test_cfg must be one of {MODES}, not {self.mode!r}')
        self.views = read_views(self)
        self._frozen_parts = [self._part(name, 'frozen_parts').requires_grad_(False) for name in frozen_parts]
        # Remember parameters frozen by the config (frozen_stages, requires_grad of norm_cfg): they stay frozen in both stages.
        self._frozen_parameters = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        if getattr(self.backbone, 'channels_last', False):
            for part, module in self.roi_head.named_children():
                if part.endswith('roi_extractor') and not getattr(module, 'reads_channels_last', False):
                    raise ValueError(
                        f'roi_head.{part} is a {type(module).__name__}, which may misread the channels-last features of the '
                        'backbone: set backbone.channels_last=False, or use SingleLevelRoIExtractor'
                    )
        for name in compile_parts:
            self._part(name, 'compile_parts').compile()

    def _part(self, name: str, option: str) -> nn.Module:
        parts = dict(self.named_modules())
        if name not in parts:
            raise ValueError(
                f'{option} names {name!r}, which the model does not have; it has '
                f'{", ".join(part for part in parts if 0 < len(part) and part.count(".") < 2)}'
            )
        return parts[name]

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """Return the modules trained in a stage.

        Raises:
            ValueError: if the stage is unknown.
        """
        shared = [self.backbone] + ([self.neck] if self.with_neck else [])
        if stage == SEGMENTATION:
            # All other parts of the RoI head: RoI extractors may have weights too.
            parts = self.roi_head.named_children()
            branch = [part for name, part in parts if name not in ('cls_head', 'classification_branch')]
            return [*shared, self.rpn_head, *branch]
        if stage == CLASSIFICATION:
            return [*shared, self.roi_head.cls_head]
        raise ValueError(f'stage must be {SEGMENTATION!r} or {CLASSIFICATION!r}, not {stage!r}')

    def set_stage(self, stage: str) -> None:
        """Enable training for the parameters of one stage only, and set the mode of every BatchNorm accordingly.

        BatchNorm of the backbone and neck uses batch statistics in the segmentation stage and runs in evaluation mode in the
        classification stage; that of the slice head does the opposite.

        Raises:
            ValueError: if the stage is unknown.
        """
        trained = self.stage_modules(stage)
        self.requires_grad_(False)
        for module in trained:
            module.requires_grad_(True)
        if self._frozen_parameters:
            for name, parameter in self.named_parameters():
                if name in self._frozen_parameters:
                    parameter.requires_grad_(False)
        # train() of MMDetection's ResNet also applies norm_eval and frozen_stages.
        self.backbone.train(stage == SEGMENTATION)
        if self.with_neck:
            for module in self.neck.modules():
                if isinstance(module, _BatchNorm):
                    module.train(stage == SEGMENTATION)
        self.roi_head.cls_head.train(stage == CLASSIFICATION)
        for part in self._frozen_parts:
            part.eval()

    def copy_branch(self) -> None:
        """Copy the weights of the segmentation branch into the classification branch."""
        self.roi_head.copy_branch()

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[SliceDataSample]) -> dict[str, Tensor]:
        """Compute the losses of the batch's stage.

        Args:
            batch_inputs: normalised slices, shape (N, 1 or 3, H, W).
            batch_data_samples: N samples of one ``task``.

        Returns:
            In the segmentation stage 'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask' and 'acc'; in the
            classification stage 'loss_slice' and 'slice_acc'.

        Raises:
            ValueError: if the batch mixes tasks.
        """
        if batch_task(batch_data_samples) == SEGMENTATION:
            return super().loss(batch_inputs, batch_data_samples)
        x = self.extract_feat(batch_inputs)
        proposals = self._propose(x, batch_data_samples)
        return self.roi_head.loss_slice(x, proposals, batch_data_samples)

    @torch.no_grad()
    def _propose(self, x: tuple, batch_data_samples: list[SliceDataSample]) -> list:
        # No gradient passes through proposals; predict() of a dense head only decodes them.
        return self.rpn_head.predict(x, batch_data_samples, rescale=False)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[SliceDataSample], rescale: bool = True
    ) -> list[SliceDataSample]:
        """Detect lesions and classify slices; backbone, neck and RPN run once.

        Args:
            batch_inputs: normalised slices, shape (N, 1 or 3, H, W).
            batch_data_samples: N samples.
            rescale: whether to return boxes and masks at the size of the original image.

        Returns:
            The samples with ``pred_instances``, ``pred_slice`` or both, depending on ``mode``.
        """
        x = self.extract_feat(batch_inputs)
        proposals = self._propose(x, batch_data_samples)
        instances = slices = None
        if self.mode == 'both' and not self.views:
            instances, slices = self.roi_head.predict_both(x, proposals, batch_data_samples, rescale=rescale)
        elif self.mode != 'detection':
            slices = self.roi_head.predict_slice(x, proposals, batch_data_samples, rescale=rescale)
        if self.mode != 'classification' and self.views:
            instances = predict_views(self, self.views, batch_inputs, x, proposals, batch_data_samples, rescale)
        elif self.mode == 'detection':
            instances = self.roi_head.predict(x, proposals, batch_data_samples, rescale=rescale)
        if slices is not None:
            for sample, prediction in zip(batch_data_samples, slices):
                sample.pred_slice = prediction
        if instances is not None:
            self.add_pred_to_datasample(batch_data_samples, instances)
        return batch_data_samples


def _check_roi_head(roi_head: dict) -> None:
    """Check the type of a RoI head before it is built: another type would fail without naming the cause."""
    kind = roi_head.get('type')
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    if found is not None and not issubclass(found, AffinityRoIHead):
        raise ValueError(
            f'roi_head of AffinityRCNN must be an AffinityRoIHead or AffinityMaskScoringRoIHead, not a {found.__name__}; '
            'docs/mmdet.md lists what is supported'
        )
