"""Load checkpoints without executing their content, share models, and convert the author's published files."""

from .loading import load_checkpoint
from .mmengine_loader import download, register_safe_loader
from .model import build_model, explain_mismatch

__all__ = ['build_model', 'download', 'explain_mismatch', 'load_checkpoint', 'register_safe_loader']
