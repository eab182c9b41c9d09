"""Conversion of volumes with masks as a command."""

import argparse

import pytest
from conversion_helpers import PAIR_OPTIONS, put_volumes, stored, view_mask

from mmaffinity.commands import convert


@pytest.fixture
def folders(tmp_path):
    return tmp_path / 'images', tmp_path / 'masks', tmp_path / 'out'


def test_a_pair_that_is_left_out_gives_exit_code_1(folders, capsys):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    put_volumes(folders, 'good', label=3)
    put_volumes(folders, 'bad', mask=stored([view_mask()] * 5))
    images, masks, out = map(str, folders)
    args = parser.parse_args(
        [
            'nifti-pairs',
            images,
            masks,
            '--out',
            out,
            *PAIR_OPTIONS,
            '--rescale',
            '5.882353',
            '-1250',
        ]
    )
    assert convert.run(args) == 1  # a pair was left out
    printed = capsys.readouterr().out
    assert 'lesions_train' in printed and 'written to' in printed and 'statistics.json' in printed
