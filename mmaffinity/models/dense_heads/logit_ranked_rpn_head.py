"""An RPN head that ranks its proposals by raw logit."""

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import cat_boxes
from mmdet.utils import ConfigType
from mmengine.structures import InstanceData
from torch import Tensor

from mmaffinity.structures.non_finite_output_error import NonFiniteOutputError


@MODELS.register_module()
class LogitRankedRPNHead(RPNHead):
    """:class:`RPNHead` that ranks proposals by logit, before and during NMS, instead of by its sigmoid.

    In float32, the sigmoid of every logit above about 17 is 1, and nearby logits tie long before that. Ties are broken by
    position, which would reorder the best proposals of a confident model. The returned ``scores`` are probabilities as usual.
    """

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[Tensor],
        mlvl_priors: list[Tensor],
        img_meta: dict,
        cfg: ConfigType,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceData:
        """Convert the outputs for one image to proposals; arguments as in :class:`RPNHead`.

        Raises:
            NonFiniteOutputError: if an output is not finite.
        """
        cfg = self.test_cfg if cfg is None else cfg
        nms_pre = cfg.get('nms_pre', -1)
        logits, deltas, priors, levels = [], [], [], []
        for level, (score, pred, prior) in enumerate(zip(cls_score_list, bbox_pred_list, mlvl_priors)):
            # Under mixed precision the maps have half precision, too coarse for pixel coordinates near 512.
            dtype = torch.promote_types(score.dtype, torch.float32)
            score = score.to(dtype).permute(1, 2, 0).reshape(-1)
            pred = pred.to(dtype).permute(1, 2, 0).reshape(-1, self.bbox_coder.encode_size)
            score, rank = score.sort(descending=True, stable=True)
            if nms_pre > 0:
                score, rank = score[:nms_pre], rank[:nms_pre]
            logits.append(score)
            deltas.append(pred[rank])
            priors.append(prior[rank])
            levels.append(torch.full_like(rank, level))
        ranked = torch.cat(logits)
        boxes = self.bbox_coder.decode(cat_boxes(priors), torch.cat(deltas), max_shape=img_meta['img_shape'])
        if not (torch.isfinite(boxes).all() and torch.isfinite(ranked).all()):
            raise NonFiniteOutputError(
                f"the network's output for {img_meta.get('img_path')} is not finite: the slice or the weights contain NaN or "
                'infinity; if training diverged, restart from an earlier checkpoint with a lower learning rate'
            )
        results = InstanceData(bboxes=boxes, scores=ranked, level_ids=torch.cat(levels))
        results = self._bbox_post_process(results, cfg, rescale=rescale, with_nms=with_nms, img_meta=img_meta)
        results.scores = results.scores.sigmoid()
        return results
