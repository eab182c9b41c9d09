"""Any timm image model as a backbone."""

from typing import Any

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from mmaffinity.checkpoints import explain_mismatch, load_checkpoint


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """A timm model without its classifier, which returns pooled features of the slice.

    timm is optional and needs torchvision, which nothing else in this package needs.

    Args:
        model_name: a name from ``timm.list_models()``, for example 'efficientnet_b0'.
        init_cfg: ``dict(type='Pretrained', checkpoint='timm')`` downloads timm's ImageNet weights. Any other 'checkpoint' is
            the path of weights for that model. None uses timm's random initialisation.
        kwargs: as for ``timm.create_model``; transformers need ``img_size``.

    Attributes:
        out_channels: length C of the feature vector.

    Raises:
        ValueError: if timm is not installed or has no such model, or the weights do not match it.
    """

    def __init__(self, model_name: str, init_cfg: dict | None = None, **kwargs: Any) -> None:
        super().__init__()
        try:
            import timm
        except (ImportError, RuntimeError) as error:  # a mismatched torchvision build raises a RuntimeError
            raise ValueError(
                f'the backbone {model_name} needs timm, which cannot be imported ({error}); install it, '
                'with the torchvision build for your torch: pip install "mmaffinity[timm]"'
            ) from error
        checkpoint = (init_cfg or {}).get('checkpoint')
        try:
            self.model = timm.create_model(model_name, pretrained=checkpoint == 'timm', num_classes=0, **kwargs)
        except RuntimeError as error:
            raise ValueError(f'timm cannot create {model_name}: {error}') from error
        if checkpoint is not None and checkpoint != 'timm':
            content = load_checkpoint(checkpoint)
            weights = content.get('state_dict', content)
            mismatch = explain_mismatch(self.model.state_dict(), weights)
            if mismatch:
                raise ValueError(f"{checkpoint} does not match timm's {model_name} without its classifier: {mismatch}")
            self.model.load_state_dict(weights)
        self.out_channels = getattr(self.model, 'head_hidden_size', None) or self.model.num_features

    def init_weights(self) -> None:
        """Do nothing: timm initialises or loads the weights when it creates the model."""
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map slices (N, 3, H, W) to a single output, pooled features (N, C)."""
        return (self.model(x),)
