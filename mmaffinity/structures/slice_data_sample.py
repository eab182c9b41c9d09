"""MMDetection's data sample, extended by a slice's label and prediction."""

from collections.abc import Sequence

from mmdet.structures import DetDataSample
from mmengine.structures import BaseDataElement

SEGMENTATION = 'segmentation'
CLASSIFICATION = 'classification'


class SliceDataSample(DetDataSample):
    """A :class:`DetDataSample` for one axial slice, with an image-level class.

    Lesions are in ``gt_instances`` and ``pred_instances``, as in every MMDetection model. In addition:

    * ``gt_slice.label``: class of the slice, LongTensor of shape (1,);
    * ``pred_slice.label``: predicted class, LongTensor (1,);
    * ``pred_slice.logits``, ``pred_slice.score``: logits and per-class probabilities, shape (K,). The probabilities are
      sigmoids, because the loss is per class (Eq. 9), so they need not sum to one;
    * ``pred_slice.roi_boxes``: the beta ranked boxes used for classification, x1 y1 x2 y2 in pixels of the original
      image, shape (beta, 4), and ``roi_scores``, their lesion probabilities, shape (beta,);
    * from the affinity head also ``roi_features`` X (beta, C), ``affinity`` Y (C*, C), ``features`` z (C,) and
      ``roi_weights`` W v (beta,): z = X^T (W v), so the k-th entry is the weight of the k-th RoI;
    * for a slice head with ``slice_roi``, the whole slice follows in the last entry of ``roi_boxes``, ``roi_scores`` (1),
      ``roi_features`` and ``roi_weights``.

    The meta field ``task`` is 'segmentation' or 'classification': the kind of ground truth and, in training, the stage of the
    batch.
    """

    @property
    def gt_slice(self) -> BaseDataElement:
        return self._gt_slice

    @gt_slice.setter
    def gt_slice(self, value: BaseDataElement) -> None:
        self.set_field(value, '_gt_slice', dtype=BaseDataElement)

    @gt_slice.deleter
    def gt_slice(self) -> None:
        del self._gt_slice

    @property
    def pred_slice(self) -> BaseDataElement:
        return self._pred_slice

    @pred_slice.setter
    def pred_slice(self, value: BaseDataElement) -> None:
        self.set_field(value, '_pred_slice', dtype=BaseDataElement)

    @pred_slice.deleter
    def pred_slice(self) -> None:
        del self._pred_slice


def batch_task(data_samples: Sequence[SliceDataSample]) -> str:
    """Return the task of a training batch.

    Raises:
        ValueError: if the batch mixes tasks or a sample has none.
    """
    tasks = {sample.get('task') for sample in data_samples}
    if len(tasks) != 1 or not tasks <= {SEGMENTATION, CLASSIFICATION}:
        names = ', '.join(str(sample.get('img_path')) for sample in data_samples[:4])
        raise ValueError(
            f'a training batch must have one task, {SEGMENTATION!r} or {CLASSIFICATION!r}, but this one has '
            f'{sorted(map(str, tasks))} ({names}); use batch_sampler=dict(type="AlternatingBatchSampler")'
        )
    return tasks.pop()
