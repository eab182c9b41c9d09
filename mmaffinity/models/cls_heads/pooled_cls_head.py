"""The head of a plain slice classifier, which reads pooled features of the whole slice."""

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import normal_init
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmaffinity.structures import SliceDataSample

from .base_slice_head import BaseClsHead, fc_layers


@MODELS.register_module()
class PooledClsHead(BaseClsHead):
    """Average-pool a feature map and classify it with fully connected layers (ResNet-18 and VGG-16 baselines).

    Args:
        num_classes: K.
        in_channels: channels C of the backbone's last output; if None, :class:`SliceClassifier` infers them.
        pool_size: side of the pooled map; 1 averages over the slice (ResNet), 7 keeps a coarse map (VGG).
        fc_channels: widths of hidden layers, each followed by ReLU; none for ResNet.
        dropout: dropout rate after each hidden layer in training.
        loss_cls, class_reduction, init_cfg: see :class:`BaseClsHead`.

    Raises:
        ValueError: if ``in_channels`` is None, ``pool_size`` is below 1, or ``dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int | None = None,
        pool_size: int = 1,
        fc_channels: Sequence[int] = (),
        dropout: float = 0.0,
        loss_cls: dict | None = None,
        class_reduction: str = 'mean',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_classes, loss_cls, class_reduction, init_cfg)
        if in_channels is None:
            raise ValueError("PooledClsHead needs in_channels, the channels of the backbone's last output")
        if pool_size < 1:
            raise ValueError(f'pool_size must be at least 1, not {pool_size}')
        if not 0 <= dropout < 1:
            raise ValueError(f'dropout must be in [0, 1), not {dropout}')
        self.pool = nn.AdaptiveAvgPool2d(pool_size)
        self.pool_size = pool_size
        self.classifier = fc_layers(in_channels * pool_size**2, fc_channels, num_classes)
        self.dropout = nn.Dropout(dropout)

    def init_weights(self) -> None:
        """Initialise weights as normal with standard deviation 0.01, biases as 0."""
        super().init_weights()
        for module in self.classifier:
            if isinstance(module, nn.Linear):
                normal_init(module, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, C, H, W), or features (N, C) pooled by the backbone, to logits (N, K).

        Raises:
            ValueError: if the backbone pools its features and ``pool_size`` is above 1.
        """
        if x.dim() == 2:
            if self.pool_size > 1:
                raise ValueError(f'pool_size is {self.pool_size}, but the backbone already pools its features; set it to 1')
        else:
            x = self.pool(x).flatten(1)
        for layer in self.classifier:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                x = self.dropout(x)
        return x

    def loss(self, x: Tensor, data_samples: list[SliceDataSample]) -> dict[str, Tensor]:
        """Compute 'loss_slice', the per-class sigmoid cross-entropy (Eq. 9), and 'slice_acc', the accuracy in percent."""
        return self.loss_of_logits(self(x), data_samples)

    def predict(self, x: Tensor) -> list[BaseDataElement]:
        """Return a ``pred_slice`` per slice: 'label' (1,), 'score' (K,), probabilities, and 'logits' (K,)."""
        logits = self(x)
        return [BaseDataElement(label=row.argmax(keepdim=True), score=row.sigmoid(), logits=row) for row in logits]
