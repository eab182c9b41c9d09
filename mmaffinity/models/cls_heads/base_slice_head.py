"""Base classes of slice heads: the loss and, for heads that read ranked RoIs, the prediction."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmaffinity.structures import RankedRoIs, SliceDataSample

CLASS_REDUCTIONS = ('mean', 'sum')


class BaseClsHead(BaseModule):
    """Base of all slice heads: a classifier with per-class sigmoid cross-entropy loss (Eq. 9).

    Args:
        num_classes: K.
        loss_cls: config of the loss, which is called with logits (N, K), labels (N,) and ``avg_factor``.
        class_reduction: reduction of a slice's K cross-entropies: 'mean', as in the published code, whose learning rate was
            tuned for it, or 'sum', as printed in Eq. 9.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: if K < 2, or ``class_reduction`` is neither 'mean' nor 'sum'.
    """

    def __init__(
        self, num_classes: int, loss_cls: dict | None = None, class_reduction: str = 'mean', init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        if num_classes < 2:
            raise ValueError(
                f'num_classes of {type(self).__name__} must be at least 2, not {num_classes}: the negative class counts too'
            )
        if class_reduction not in CLASS_REDUCTIONS:
            raise ValueError(f'class_reduction must be one of {CLASS_REDUCTIONS}, not {class_reduction!r}')
        self.num_classes = num_classes
        self.class_reduction = class_reduction
        self.loss_cls = MODELS.build(loss_cls or dict(type='CrossEntropyLoss', use_sigmoid=True))

    def loss_of_logits(self, logits: Tensor, data_samples: list[SliceDataSample]) -> dict[str, Tensor]:
        """Compute the loss of N slices' logits (N, K) against ``gt_slice.label``; see :meth:`BaseSliceHead.loss`."""
        labels = torch.cat([sample.gt_slice.label for sample in data_samples]).to(logits.device)
        for label, sample in zip(labels.tolist(), data_samples):
            if not 0 <= label < self.num_classes:
                raise ValueError(
                    f'slice label {label} of {sample.get("img_path")} is out of range for a cls_head with '
                    f'{self.num_classes} classes; set its num_classes to that of the data set'
                )
        factor = logits.shape[0] * (self.num_classes if self.class_reduction == 'mean' else 1)
        accuracy = (logits.argmax(1) == labels).float().mean() * 100
        return dict(loss_slice=self.loss_cls(logits, labels, avg_factor=factor), slice_acc=accuracy)


class BaseSliceHead(BaseClsHead, metaclass=ABCMeta):
    """Base of heads that classify a slice from its ranked RoIs.

    A subclass implements :meth:`forward` and sets these attributes: ``reads_mask_features`` if it needs
    :attr:`RankedRoIs.mask_features`, which are costly; ``reads_rank_weights`` if it supports :attr:`RankedRoIs.rank_weights`;
    ``with_slice_roi`` if it reads the whole slice as a last RoI; and ``trains_through_boxes`` if its gradient passes through
    :attr:`RankedRoIs.scores` and :attr:`RankedRoIs.deltas` to the backbone.

    Args:
        num_classes: K.
        num_rois: beta, the number of RoIs that the head reads.
        loss_cls, class_reduction, init_cfg: see :class:`BaseClsHead`.

    Raises:
        ValueError: if K < 2, beta < 1, or ``class_reduction`` is neither 'mean' nor 'sum'.
    """

    reads_mask_features = False
    reads_rank_weights = False
    with_slice_roi = False
    trains_through_boxes = False

    def __init__(
        self,
        num_classes: int,
        num_rois: int,
        loss_cls: dict | None = None,
        class_reduction: str = 'mean',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_classes, loss_cls, class_reduction, init_cfg)
        if num_rois < 1:
            raise ValueError(f'num_rois must be at least 1, not {num_rois}')
        self.num_rois = num_rois

    @abstractmethod
    def forward(self, rois: RankedRoIs) -> dict[str, Tensor]:
        """Return 'logits' (N, K) and any intermediate results under other names, each with first dimension N."""

    def loss(self, rois: RankedRoIs, data_samples: list[SliceDataSample]) -> dict[str, Tensor]:
        """Compute the per-class sigmoid cross-entropy of the slices (Eq. 9), averaged over the batch.

        Args:
            rois: the RoIs of N slices.
            data_samples: N samples with ``gt_slice.label``.

        Returns:
            'loss_slice', and 'slice_acc', the accuracy in percent.

        Raises:
            ValueError: if a label is not in 0 to K - 1.
        """
        return self.loss_of_logits(self(rois)['logits'], data_samples)

    def predict(self, rois: RankedRoIs) -> list[BaseDataElement]:
        """Classify N slices.

        Returns:
            One ``pred_slice`` per slice (see :class:`SliceDataSample`), with boxes in pixels of the network's input.
        """
        outputs = self(rois)
        scores = outputs['logits'].sigmoid()
        predictions = []
        for i in range(len(scores)):
            explanation = {name: value[i] for name, value in outputs.items()}
            # The label comes from the logits: in float32, the sigmoids of two confident classes are both 1.
            predictions.append(
                BaseDataElement(
                    label=outputs['logits'][i].argmax(keepdim=True),
                    score=scores[i],
                    roi_boxes=rois.boxes[i],
                    roi_scores=rois.scores[i],
                    **explanation,
                )
            )
        return predictions


def fc_layers(in_channels: int, fc_channels: Sequence[int], num_classes: int) -> nn.Sequential:
    """Return fully connected layers with ReLU between them, from vectors (N, in_channels) to logits (N, num_classes)."""
    layers, width = [], in_channels
    for channels in fc_channels:
        layers += [nn.Linear(width, channels), nn.ReLU(inplace=True)]
        width = channels
    return nn.Sequential(*layers, nn.Linear(width, num_classes))
