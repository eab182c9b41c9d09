"""Normalise a batch of grayscale slices."""

import torch
from torch import Tensor, nn

from mmaffinity.models import SliceDataPreprocessor


class Normalization(nn.Module):
    """:class:`SliceDataPreprocessor` in elementary operations.

    Args:
        preprocessor: provides the settings, and mean and std if they are needed.

    Raises:
        ValueError: if the mean and std of the training set are needed but unknown.
    """

    def __init__(self, preprocessor: SliceDataPreprocessor) -> None:
        super().__init__()
        if preprocessor.needs_statistics:
            raise ValueError('the checkpoint contains no mean and std of the training slices')
        self.kind, self.num_channels = preprocessor.normalization, preprocessor.num_channels
        if self.kind == 'global':
            self.register_buffer('mean', preprocessor.mean)
            self.register_buffer('std', preprocessor.std)

    def forward(self, slices: Tensor) -> Tensor:
        """Normalise slices (N, 1, H, W) with grey levels 0 to 255; return shape (N, num_channels, H, W)."""
        grey = slices / 255
        if self.kind == 'global':
            grey = (grey - self.mean) / self.std
        elif self.kind == 'slice':
            pixels = grey.flatten(1)
            offset = pixels - pixels.mean(1, keepdim=True)
            std = ((offset * offset).sum(1, keepdim=True) / (pixels.shape[1] - 1)).sqrt()
            flat = pixels.amax(1, keepdim=True) == pixels.amin(1, keepdim=True)
            grey = torch.where(flat, torch.zeros_like(pixels), offset / std).reshape(grey.shape)
        return grey if self.num_channels == 1 else grey.expand(-1, self.num_channels, -1, -1)
