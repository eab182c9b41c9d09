"""The paper's own results, shown beside ours and always marked as published.

A. Ter-Sarkisov, Applied Soft Computing 116 (2022) 108261, and the published confusion matrices of its predecessors.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class PublishedRow(NamedTuple):
    """A row of a published table.

    Attributes:
        name: name of the model.
        values: values by metric, in [0, 1].
        confusion: published confusion matrix, rows true class; if given, the values are computed from it.
        class_weights: class weights of the class-adjusted F1 in that publication; None for each class's share.
        notes: footnotes by metric.
    """

    name: str
    values: dict
    confusion: tuple[tuple[int, ...], ...] | None = None
    class_weights: tuple[float, ...] | None = None
    notes: Mapping[str, str] = MappingProxyType({})


def _segmentation(name: str, ap50: float, ap75: float, mean: float) -> PublishedRow:
    return PublishedRow(name, dict(AP50=ap50, AP75=ap75, mAP=mean))


def _percent(name: str, f1: float | None, **sensitivity: float) -> PublishedRow:
    values = {f'sensitivity/{key.replace("_", "-")}': value / 100 for key, value in sensitivity.items()}
    return PublishedRow(name, values if f1 is None else {**values, 'f1': f1 / 100})


TABLE_3 = (
    _segmentation('Affinity model, C* = 8', 0.590, 0.389, 0.424),
    _segmentation('Affinity model, C* = 16', 0.571, 0.352, 0.391),
    _segmentation('Affinity model, C* = 32', 0.614, 0.382, 0.395),
    _segmentation('Affinity model, C* = 64', 0.603, 0.414, 0.422),
    _segmentation('Mask R-CNN, heads only', 0.511, 0.301, 0.298),
    _segmentation('Mask R-CNN, full', 0.565, 0.413, 0.352),
)
TABLE_4 = (
    _percent('Affinity model, C* = 16', 97.37, COVID_19=93.55, CP=96.93, Normal=99.37)._replace(
        notes={'sensitivity/Normal': 'the paper gives both 99.37 and 99.47 %'}
    ),
    PublishedRow('Single-Shot Model', {}, ((9322, 123, 5), (174, 7139, 82), (27, 277, 4042)), (0.45, 0.35, 0.20)),
    PublishedRow('COVID-CT-Mask-Net', {}, ((9236, 188, 26), (116, 7150, 129), (20, 298, 4028)), (0.45, 0.35, 0.20)),
)
TABLE_5 = (
    _percent('Affinity model, C* = 8', 98.31, COVID_19=97.97, CP=97.22, Normal=99.33),
    _percent('Affinity model, C* = 16', 98.38, COVID_19=98.30, CP=97.10, Normal=99.43),
    _percent('Affinity model, C* = 32', 98.41, COVID_19=98.69, CP=98.18, Normal=99.16),
    _percent('Affinity model, C* = 64', 97.31, COVID_19=98.37, CP=96.78, Normal=97.25),
)
TABLE_7 = (
    _percent('Affinity model, C* = 8', 97.53, COVID_19=95.73, Negative=98.30),
    _percent('Affinity model, C* = 16', 97.51, COVID_19=97.81, Negative=97.39),
    _percent('Affinity model, C* = 32', 87.88, COVID_19=99.35, Negative=83.27),
    _percent('Affinity model, C* = 64', 93.30, COVID_19=97.92, Negative=91.46),
    _percent('VGG-16', None, COVID_19=97.00, Negative=85.47),
)


class PaperTable(NamedTuple):
    """A table of the paper.

    Attributes:
        title: our heading.
        on: the slices on which the published results were obtained.
        rows: the published results.
    """

    title: str
    on: str
    rows: tuple[PublishedRow, ...]


PAPER_TABLES = {
    'table3': PaperTable('Table 3: lesion segmentation', '100 CNCB-NCOV test slices', TABLE_3),
    'table4': PaperTable('Table 4: slice classification', '21191 COVIDx-CT test slices', TABLE_4),
    'table5': PaperTable(
        'Table 5: slice classification, left-out training slices',
        '58782 COVIDx-CT training slices on which no model was trained',
        TABLE_5,
    ),
    'table7': PaperTable('Table 7: slice classification after fine-tuning on iCTCF', '12976 iCTCF test slices', TABLE_7),
}
