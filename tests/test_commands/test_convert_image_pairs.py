"""Conversion of slices with masks as a command."""

import argparse
import json

import pytest
from conversion_helpers import PAIR_OPTIONS, put_pictures

from mmaffinity.commands import convert


@pytest.fixture
def folders(tmp_path):
    return tmp_path / 'image', tmp_path / 'mask', tmp_path / 'out'


def test_patients_of_a_table_and_a_pair_that_is_left_out(folders, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    put_pictures(folders, 'ct_1_img', label=3)
    (folders[1] / 'ct_1_img.png').rename(folders[1] / 'ct_1_mask.png')
    put_pictures(folders, 'broken')
    (folders[1] / 'broken.png').write_bytes(b'')
    (tmp_path / 'table.csv').write_text('image;person\nct_1.png;P1\nbroken.png;P2\n')
    images, masks, out = map(str, folders)
    args = parser.parse_args(
        [
            'image-pairs',
            images,
            masks,
            '--out',
            out,
            *PAIR_OPTIONS,
            '--patients',
            str(tmp_path / 'table.csv'),
            'image',
            'person',
        ]
    )
    assert convert.run(args) == 1  # a pair was left out
    printed = capsys.readouterr().out
    assert 'lesions_train' in printed and 'statistics.json' in printed
    assert [
        image['patient_id'] for image in json.loads((folders[2] / 'annotations/lesions_train.json').read_text())['images']
    ] == ['P1']
    args = parser.parse_args(
        ['image-pairs', images, masks, '--out', out, '--patients', 'a.csv', 'a', 'b', '--patient-pattern', '(a)']
    )
    with pytest.raises(ValueError, match="patients are specified twice, by patient_pattern='\\(a\\)' and by a.csv"):
        convert.run(args)
