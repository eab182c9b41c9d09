"""Attribute the class logits of a slice to its RoIs."""

from typing import NamedTuple

import torch
from torch import Tensor

from .affinity_cls_head import AffinityClsHead


class RoIEvidence(NamedTuple):
    """A slice's logits, attributed to its RoIs.

    Attributes:
        contributions: signed contribution of each RoI to each logit, in logit units, shape (beta, K).
        rest: the part of each logit due to no RoI, that is, to the classifier's biases, shape (K,).
        logits: ``contributions.sum(0) + rest``, shape (K,).
    """

    contributions: Tensor
    rest: Tensor
    logits: Tensor

    @property
    def shares(self) -> Tensor:
        """Signed share of each RoI in each class, in [-1, 1], shape (beta, K).

        A contribution is divided by the sum of the class's magnitudes; if no RoI contributes, all shares are 0.
        """
        total = self.contributions.abs().sum(0)
        return self.contributions / total.masked_fill(total == 0, 1)


def roi_evidence(head: AffinityClsHead, roi_features: Tensor, roi_weights: Tensor) -> RoIEvidence:
    """Attribute the logits of a slice to its RoIs (gradient times input).

    The attribution combines an exact and an approximate step:

    * *Exact*: z = X^T (W v) = sum over k of (W v)_k X_k (Eqs. 3 and 6). The mapping has no nonlinearity, so z is the
      sum of one vector per RoI, (W v)_k X_k, without any approximation.
    * *First order*: the image classifier has ReLUs and is piecewise linear. Near this z, as long as no hidden unit switches on
      or off, logits = J z + c with the Jacobian J at z. So RoI k contributes (W v)_k (J X_k) to the logits, and the
      contributions and c add up to the logits exactly. Removing a RoI, however, may switch hidden units and thereby change a
      logit by a different amount.

    X_k itself is taken as given. With batch statistics of the slice it also depends on the other RoIs, and through the backbone
    on the whole slice. The attribution shows which RoI's vector drove the decision, not what would happen if its tissue were
    healthy.

    Args:
        head: the affinity head that classified the slice.
        roi_features: RoI vectors X, shape (beta, C).
        roi_weights: RoI weights W v, shape (beta,).

    Raises:
        ValueError: if the shapes do not match.
    """
    if roi_features.dim() != 2 or roi_weights.shape != roi_features.shape[:1]:
        raise ValueError(f'X must be (beta, C) and W v (beta,), not {tuple(roi_features.shape)} and {tuple(roi_weights.shape)}')
    vectors = roi_weights[:, None] * roi_features  # (beta, C); they sum to z

    with torch.enable_grad():
        z = vectors.sum(0).detach().requires_grad_()
        logits = head.classifier(z[None])[0]
        jacobian = torch.stack([torch.autograd.grad(logit, z, retain_graph=True)[0] for logit in logits])  # (K, C)
    contributions = vectors.detach() @ jacobian.t()
    logits = logits.detach()
    return RoIEvidence(contributions, logits - contributions.sum(0), logits)
