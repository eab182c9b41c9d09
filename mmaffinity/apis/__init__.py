"""Python entry points for everything that the commands do, each imported on first use."""

from typing import TYPE_CHECKING

from mmaffinity.utils.lazy import lazy_names

if TYPE_CHECKING:
    from .base_inferencer import SlicePrediction
    from .inferencer import AffinityInferencer
    from .onnx_inferencer import OnnxInferencer
    from .prediction import predict_to_folder
    from .testing import test_model
    from .training import train_model

__all__ = ['AffinityInferencer', 'OnnxInferencer', 'SlicePrediction', 'predict_to_folder', 'test_model', 'train_model']

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        'AffinityInferencer': 'inferencer',
        'OnnxInferencer': 'onnx_inferencer',
        'SlicePrediction': 'base_inferencer',
        'predict_to_folder': 'prediction',
        'test_model': 'testing',
        'train_model': 'training',
    },
)
