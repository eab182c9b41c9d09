"""How much each RoI spoke for each class of a slice."""
from typing import NamedTuple

import torch
from torch import Tensor

from .affinity_cls_head import AffinityClsHead


class RoIEvidence(NamedTuple):
    """A slice's logits, taken apart by RoI.

    Attributes:
        contributions: of each of beta RoIs to each of K logits, shape (beta, K); signed, in units of the logit.
        rest: what no RoI gives, the classifier's biases as they reach each logit, shape (K,).
        logits: their sum, ``contributions.sum(0) + rest``, shape (K,).
    """

    contributions: Tensor
    rest: Tensor
    logits: Tensor

    @property
    def shares(self) -> Tensor:
        """Each contribution over the sum of all RoIs' sizes for that class, signed, in [-1, 1], shape (beta, K).

        All are 0 for a class to which no RoI contributes.
        """
        total = self.contributions.abs().sum(0)
        return self.contributions / total.masked_fill(total == 0, 1)


def roi_evidence(head: AffinityClsHead, roi_features: Tensor, roi_weights: Tensor) -> RoIEvidence:
    """Attribute the logits of a slice to its RoIs.

    Two parts, of different standing:

    * *Exact*: z = X^T (W v) = sum over k of (W v)_k X_k (Eqs. 3 and 6). The mapping has no nonlinearity, so z is the
      sum of one vector per RoI, (W v)_k X_k, and nothing is assumed in saying so.
    * *First order*: the image classifier after it has ReLUs. It is linear piece by piece: around this z, as long as no
      hidden unit changes between on and off, logits = J z + c, with J the Jacobian at z. So (W v)_k (J X_k) is what RoI
      k gives to the logits, 'gradient times input', and these with c add up to the logits exactly. But taking a RoI
      away may switch hidden units, and then changes a logit by another amount than its contribution.

    X_k itself is taken as it is. With batch statistics of the slice it depends on the other RoIs too, and on the whole
    slice through the backbone: the evidence says which RoI's vector carried the decision, not what would follow if its
    tissue were healthy.

    Args:
        head: the affinity head that the slice was classified with.
        roi_features: X, shape (beta, C).
        roi_weights: W v, shape (beta,).

    Raises:
        ValueError: if the shapes do not fit.
    """
    if roi_features.dim() != 2 or roi_weights.shape != roi_features.shape[:1]:
        raise ValueError(f'X must be (beta, C) and W v (beta,), not {tuple(roi_features.shape)} and '
                         f'{tuple(roi_weights.shape)}')
    vectors = roi_weights[:, None] * roi_features  # (beta, C), which sum to z

    with torch.enable_grad():
        z = vectors.sum(0).detach().requires_grad_()
        logits = head.classifier(z[None])[0]
        jacobian = torch.stack([torch.autograd.grad(logit, z, retain_graph=True)[0] for logit in logits])  # (K, C)
    contributions = vectors.detach() @ jacobian.t()
    logits = logits.detach()
    return RoIEvidence(contributions, logits - contributions.sum(0), logits)
