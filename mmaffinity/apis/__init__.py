"""The Python entry points: everything that the commands do."""
from .inferencer import AffinityInferencer, SlicePrediction
from .prediction import predict_to_folder
from .testing import test_model
from .training import train_model

# Otherwise pytest would collect the function as a test wherever it is imported.
setattr(test_model, '__test__', False)  # noqa: B010

__all__ = ['AffinityInferencer', 'SlicePrediction', 'predict_to_folder', 'test_model', 'train_model']
