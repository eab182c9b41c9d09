"""COVID-CT-Mask-Net: a trained Mask R-CNN that learns to classify slices without forgetting its lesions."""

from mmdet.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmaffinity.structures import CLASSIFICATION

from .affinity_rcnn import AffinityRCNN


@MODELS.register_module()
class CovidCTMaskNet(AffinityRCNN):
    """:class:`AffinityRCNN` of which only the slice head and the affine weights of BatchNorm train.

    It starts from a Mask R-CNN (``load_from``), whose backbone convolutions, neck, RPN and RoI heads keep their
    weights; the classification branch takes those of the segmentation branch when they are loaded. There is no
    segmentation stage. BatchNorm runs with its running averages, which stay as they are.
    """

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """Return the modules that train.

        Raises:
            ValueError: if the stage is not 'classification'.
        """
        if stage != CLASSIFICATION:
            raise ValueError(f'CovidCTMaskNet has no {stage} stage: train it on a SliceDataset alone, from a Mask '
                             'R-CNN that was trained on lesions (load_from)')
        shared = [self.backbone] + ([self.neck] if self.with_neck else [])
        norms = [module for part in shared for module in part.modules() if isinstance(module, _BatchNorm)]
        return [*norms, self.roi_head.cls_head]
