"""The slice head of an affinity model on its own, for stored RoIs."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmaffinity.structures import RankedRoIs, SliceDataSample


@MODELS.register_module()
class RoISliceClassifier(BaseModel):
    """Train and test a slice head on RoIs that ``mmaffinity rois extract`` stored, without the detector that found them.

    The RoIs of a frozen detector never change. Computing them once turns an epoch of minutes into one of seconds. Parameters
    are named as in the detector, and ``mmaffinity rois merge`` combines both.

    Args:
        roi_head: ``cls_head``, the config of a slice head. Other entries of a detector's config are ignored.
        frozen_parts: names of submodules that are not trained, for example ``['roi_head.cls_head.affinity']`` to keep the
            initial W v.
        data_preprocessor, init_cfg: as for any model.

    Raises:
        ValueError: if the model has no submodule with a given name.
    """

    def __init__(
        self,
        roi_head: dict,
        frozen_parts: Sequence[str] = (),
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.roi_head = nn.ModuleDict({'cls_head': MODELS.build(roi_head['cls_head'])})
        parts = dict(self.named_modules())
        for name in frozen_parts:
            if name not in parts:
                raise ValueError(f'frozen_parts names {name!r}, which the model does not have')
            parts[name].requires_grad_(False)

    @property
    def cls_head(self) -> nn.Module:
        """The slice head."""
        return self.roi_head['cls_head']

    def forward(
        self, inputs: dict[str, list[Tensor]], data_samples: list[SliceDataSample], mode: str = 'tensor'
    ) -> dict | list:
        """Run the slice head.

        Args:
            inputs: the fields of :class:`RankedRoIs`, each a list of N tensors without the first dimension.
            data_samples: N samples.
            mode: 'loss', 'predict' or 'tensor'.

        Returns:
            The losses; the samples with ``pred_slice``; or the outputs of the head.

        Raises:
            ValueError: if the mode is unknown.
        """
        rois = RankedRoIs(**{name: torch.stack(values) for name, values in inputs.items()})
        if mode == 'loss':
            return self.cls_head.loss(rois, data_samples)
        if mode == 'predict':
            for sample, prediction in zip(data_samples, self.cls_head.predict(rois)):
                sample.pred_slice = prediction
            return data_samples
        if mode == 'tensor':
            return self.cls_head(rois)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', not {mode!r}")
