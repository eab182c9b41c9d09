"""Run exported models (ONNX) without torch, MMDetection, MMEngine or mmcv."""

from .model_file import FORMAT, ModelFile, read_model_file
from .sessions import BACKENDS, PRECISIONS, Session, has_bfloat16, is_installed, open_session

__all__ = [
    'BACKENDS',
    'FORMAT',
    'ModelFile',
    'PRECISIONS',
    'Session',
    'has_bfloat16',
    'is_installed',
    'open_session',
    'read_model_file',
]
