"""Results of two models on the same slices."""

import pytest
from report_helpers import lesion_records, slice_records, write_results


@pytest.fixture(scope='module')
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    runs = []
    for index, quality in enumerate((1.5, 3.0)):
        runs.append(
            write_results(
                folder / f'm{index}',
                slice_records(240, 40, quality=quality, model_seed=index),
                lesion_records(20, model_seed=index),
            )
        )
    write_results(
        runs[1], slice_records(90, 30, seed=5, quality=3.0, model_seed=1, first=1000), name='results_val.json', split='val'
    )
    return runs
