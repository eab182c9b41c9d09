"""The Python entry points: everything that the commands do."""
from .inferencer import AffinityInferencer, SlicePrediction
from .prediction import predict_to_folder
from .testing import test_model
from .training import train_model

__all__ = ['AffinityInferencer', 'SlicePrediction', 'predict_to_folder', 'test_model', 'train_model']
