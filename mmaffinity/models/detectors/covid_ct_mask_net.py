"""COVID-CT-Mask-Net: a trained Mask R-CNN that learns to classify slices and still segments lesions."""

from mmdet.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmaffinity.structures import CLASSIFICATION

from .affinity_rcnn import AffinityRCNN


@MODELS.register_module()
class CovidCTMaskNet(AffinityRCNN):
    """:class:`AffinityRCNN` in which only the slice head and the affine weights of BatchNorm are trained.

    It starts from a Mask R-CNN (``load_from``), whose backbone convolutions, neck, RPN and RoI heads keep their weights. The
    classification branch copies the weights of the segmentation branch when they are loaded. There is no segmentation stage.
    BatchNorm uses its running averages, which do not change.
    """

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """Return the trained modules.

        Raises:
            ValueError: if the stage is not 'classification'.
        """
        if stage != CLASSIFICATION:
            raise ValueError(
                f'CovidCTMaskNet has no {stage} stage: train it on a SliceDataset alone, from a Mask '
                'R-CNN that was trained on lesions (load_from)'
            )
        shared = [self.backbone] + ([self.neck] if self.with_neck else [])
        norms = [module for part in shared for module in part.modules() if isinstance(module, _BatchNorm)]
        return [*norms, self.roi_head.cls_head]
