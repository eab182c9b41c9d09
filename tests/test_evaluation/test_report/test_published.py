"""The paper's results, as printed in the paper."""

import numpy as np
import pytest
from report_helpers import report_of, table

from mmaffinity.evaluation.functional.classification import classification_report
from mmaffinity.evaluation.report.published import PAPER_TABLES


def test_published_figures_match_the_paper():
    """Every published number, retyped; shares in percent, average precisions as printed."""
    rows = {key: [list(row.values.values()) for row in PAPER_TABLES[key].rows if not row.confusion] for key in PAPER_TABLES}
    assert rows['table3'] == [
        [0.590, 0.389, 0.424],
        [0.571, 0.352, 0.391],
        [0.614, 0.382, 0.395],
        [0.603, 0.414, 0.422],
        [0.511, 0.301, 0.298],
        [0.565, 0.413, 0.352],
    ]
    percent = {key: [[round(100 * value, 2) for value in row] for row in rows[key]] for key in ('table4', 'table5', 'table7')}
    assert percent['table4'] == [[93.55, 96.93, 99.37, 97.37]]
    assert percent['table5'] == [
        [97.97, 97.22, 99.33, 98.31],
        [98.30, 97.10, 99.43, 98.38],
        [98.69, 98.18, 99.16, 98.41],
        [98.37, 96.78, 97.25, 97.31],
    ]
    assert percent['table7'] == [
        [95.73, 98.30, 97.53],
        [97.81, 97.39, 97.51],
        [99.35, 83.27, 87.88],
        [97.92, 91.46, 93.30],
        [97.00, 85.47],
    ]
    single, mask_net = (np.array(row.confusion) for row in PAPER_TABLES['table4'].rows[1:])
    assert single.sum() == mask_net.sum() == 21191
    assert classification_report(single, class_weights=(0.45, 0.35, 0.20)).f1 == pytest.approx(0.9676, abs=5e-5)
    assert classification_report(mask_net).accuracy == pytest.approx(0.9633, abs=5e-5)


def test_the_two_published_figures_of_one_class_have_a_footnote(two_runs):
    pytest.importorskip('sklearn.metrics')
    assert 'The paper gives both 99.37 and 99.47 %.' in table(report_of(*two_runs), 'table4').markdown()
