"""COVID-CT-Mask-Net: a trained Mask R-CNN that also learns to classify slices."""

from mmdet.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmaffinity.structures import CLASSIFICATION

from .affinity_rcnn import AffinityRCNN


@MODELS.register_module()
class CovidCTMaskNet(AffinityRCNN):
    """:class:`AffinityRCNN` in which only the slice head and the affine weights of BatchNorm are trained.

    Training starts from a Mask R-CNN (``load_from``), whose backbone convolutions, neck, RPN and RoI heads keep their weights.
    Loading them also copies the segmentation branch into the classification branch. There is no segmentation stage. BatchNorm
    uses its running averages, which do not change.
    """

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """Return the modules trained in the classification stage.

        Raises:
            ValueError: if the stage is not 'classification'.
        """
        if stage != CLASSIFICATION:
            raise ValueError(
                f'CovidCTMaskNet has no {stage} stage: train it on a SliceDataset only, starting from '
                'a Mask R-CNN that was trained on lesions (load_from)'
            )
        shared = [self.backbone] + ([self.neck] if self.with_neck else [])
        norms = [module for part in shared for module in part.modules() if isinstance(module, _BatchNorm)]
        return [*norms, self.roi_head.cls_head]
