"""A plain slice classifier that ignores lesions: the paper's ResNet-18 and VGG-16 baselines."""

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from torch import Tensor, nn

from mmaffinity.structures import CLASSIFICATION, SliceDataSample, batch_task

PROBE_SIZE = 64


@MODELS.register_module()
class SliceClassifier(BaseDetector):
    """A backbone, pooling and fully connected layers, with the data, loss and metrics of the other models.

    Args:
        backbone: any backbone of MMDetection's registry, :class:`SliceVGG` or :class:`TimmBackbone`; its last output is
            classified.
        cls_head: config of a :class:`PooledClsHead`; ``in_channels`` may be omitted.
        data_preprocessor, init_cfg: as for any detector.
        train_cfg, test_cfg: ignored.
    """

    def __init__(
        self,
        backbone: dict,
        cls_head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        cls_head = {'type': 'PooledClsHead', **cls_head}
        if cls_head.get('in_channels') is None:
            cls_head['in_channels'] = output_channels(self.backbone)
        self.cls_head = MODELS.build(cls_head)

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        """Return the backbone's last output for slices (N, 3, H, W)."""
        return self.backbone(batch_inputs)[-1]

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[SliceDataSample]) -> dict[str, Tensor]:
        """Return 'loss_slice' and 'slice_acc'.

        Raises:
            ValueError: if the slices have lesions instead of classes.
        """
        if batch_task(batch_data_samples) != CLASSIFICATION:
            raise ValueError(
                'SliceClassifier trains on labelled slices, but the batch is of the segmentation '
                'task; train on a SliceDataset only'
            )
        return self.cls_head.loss(self.extract_feat(batch_inputs), batch_data_samples)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[SliceDataSample], rescale: bool = True
    ) -> list[SliceDataSample]:
        """Return the samples with ``pred_slice``."""
        for sample, prediction in zip(batch_data_samples, self.cls_head.predict(self.extract_feat(batch_inputs))):
            sample.pred_slice = prediction
        return batch_data_samples

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list[SliceDataSample] | None = None) -> tuple[Tensor]:
        return (self.cls_head(self.extract_feat(batch_inputs)),)


def output_channels(backbone: nn.Module) -> int:
    """Return the channels of a backbone's last output, from its ``out_channels`` or by running it on a small blank slice."""
    known = getattr(backbone, 'out_channels', None)
    if isinstance(known, int):
        return known
    training = backbone.training
    # In evaluation mode, the blank slice does not affect BatchNorm's running averages.
    backbone.eval()
    with torch.no_grad():
        channels = backbone(torch.zeros(1, 3, PROBE_SIZE, PROBE_SIZE))[-1].shape[1]
    backbone.train(training)
    return channels
