"""The trainable affinity matrix and affinity vector (paper, Eqs. 1 to 6)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class AffinityOutput(NamedTuple):
    """Affinity representation Y, shape (N, C*, C), and feature representation z, shape (N, C)."""

    affinity: Tensor
    features: Tensor


class AffinityMapping(nn.Module):
    """Map the vectors of beta ranked RoIs to the feature vector of the slice.

    Y = W^T X mixes the RoIs into C* affinities, z = Y^T v mixes those into one vector. Both maps are linear, so
    z = X^T (W v): the k-th entry of W v is the weight of the k-th ranked RoI, the same for every slice.

    Args:
        num_rois: beta, rows of W.
        num_affinities: C*, columns of W and length of v.
        unit_roi_weights: whether W and v start with W v = 1, so that z starts as the sum of the RoI vectors. The paper's random
            start (False) gives some ranks almost no weight and others weights of opposite sign, although all may be lesions. A
            short training run does not overcome this.

    Raises:
        ValueError: if either number is below 1.
    """

    def __init__(self, num_rois: int = 8, num_affinities: int = 8, unit_roi_weights: bool = False) -> None:
        super().__init__()
        if num_rois < 1 or num_affinities < 1:
            raise ValueError(f'num_rois and num_affinities must be at least 1, not {num_rois} and {num_affinities}')
        self.matrix = nn.Parameter(torch.empty(num_rois, num_affinities))
        self.vector = nn.Parameter(torch.empty(num_affinities))
        self.unit_roi_weights = unit_roi_weights
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and v from the standard normal distribution; for unit weights, change W by the least that makes W v = 1."""
        nn.init.normal_(self.matrix)
        nn.init.normal_(self.vector)
        if self.unit_roi_weights:
            with torch.no_grad():
                self.matrix += torch.outer(1 - self.roi_weights, self.vector) / self.vector.dot(self.vector)

    @property
    def roi_weights(self) -> Tensor:
        """W v, shape (beta,): the weight of each ranked RoI in z."""
        return self.matrix @ self.vector

    def forward(self, roi_features: Tensor) -> AffinityOutput:
        """Map RoI vectors to the slice's affinity and feature representations.

        Args:
            roi_features: X, shape (N, beta, C): N slices, beta RoIs by decreasing score, C channels.

        Returns:
            Y = W^T X, shape (N, C*, C), and z = Y^T v, shape (N, C).

        Raises:
            ValueError: if beta differs from the number of rows of W.
        """
        if roi_features.dim() != 3 or roi_features.shape[1] != self.matrix.shape[0]:
            raise ValueError(f'expected RoI vectors of shape (N, {self.matrix.shape[0]}, C), got {tuple(roi_features.shape)}')
        affinity = self.matrix.t() @ roi_features
        return AffinityOutput(affinity, torch.einsum('nac,a->nc', affinity, self.vector))

    def extra_repr(self) -> str:
        return f'num_rois={self.matrix.shape[0]}, num_affinities={self.matrix.shape[1]}'
