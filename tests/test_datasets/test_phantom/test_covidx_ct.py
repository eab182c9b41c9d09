"""The phantom in the layout of COVIDx-CT."""

import csv
import re

import cv2
import pytest
from phantom_helpers import SMALL, digests

from mmaffinity.datasets.phantom.writer import write_phantom


def test_covidx_ct_layout(phantom, tmp_path):
    """Written only on request, next to the other layouts, whose bytes do not change."""
    folder, _ = phantom
    summary = write_phantom(tmp_path, covidx_train=40, covidx_val=10, covidx_test=11, **SMALL)
    assert digests(folder).items() - digests(tmp_path).items() == {('phantom.json', digests(folder)['phantom.json'])}
    assert summary.slices['covidx_test'] == {'Normal': 4, 'CP': 4, 'COVID-19': 3}
    with open(tmp_path / 'covidx_ct/metadata.csv', newline='') as file:
        metadata = list(csv.DictReader(file))
    assert (
        len(metadata)
        == len({row['patient id'] for row in metadata})
        == sum(summary.patients[f'covidx_{split}'] for split in ('train', 'val', 'test'))
    )
    names = []
    for split in ('train', 'val', 'test'):
        for line in (tmp_path / f'covidx_ct/{split}_COVIDx_CT-3A.txt').read_text().splitlines():
            name, label, *box = line.split()
            image = cv2.imread(str(tmp_path / 'covidx_ct/3A_images' / name), cv2.IMREAD_UNCHANGED)
            xmin, ymin, xmax, ymax = map(int, box)
            assert image.shape == (96, 96) and 0 <= xmin < xmax <= 96 and 0 <= ymin < ymax <= 96
            finding = ('Normal', 'Pneumonia', 'COVID-19')[int(label)]
            apart = name.replace('_patient', ' patient')  # COVID-CTset has the patient in the middle of the name
            known = [row['finding'] for row in metadata if re.search(rf'\b{row["patient id"]}(?![0-9])', apart)]
            assert known == [finding], name
            names.append(name)
    assert len(names) == len(set(names)) == 61
    assert {path.name for path in (tmp_path / 'covidx_ct/3A_images').iterdir()} == set(names)
    with pytest.raises(ValueError, match='covidx_train 40 -> 0'):
        write_phantom(tmp_path, **SMALL)


def test_covidx_ct_rows_and_columns_match_the_real_ones(tmp_path, shared_dir):
    write_phantom(tmp_path, covidx_train=3, covidx_val=60, covidx_test=60, **{**SMALL, 'slices_per_patient': 1, 'size': 64})

    def shapes(path):
        return {re.sub(r'[0-9.]+', '0', line) for line in path.read_text().splitlines()}

    for split in ('val', 'test'):
        name = f'{split}_COVIDx_CT-3A.txt'
        assert shapes(tmp_path / 'covidx_ct' / name) <= shapes(shared_dir / 'data/covidx_ct_v3' / name)
    real = (shared_dir / 'data/covidx_ct_v3/metadata.csv').read_text().splitlines()
    drawn = (tmp_path / 'covidx_ct/metadata.csv').read_text().splitlines()
    assert drawn[0] == real[0] and {line.split(',')[1] for line in drawn} <= {line.split(',')[1] for line in real}
