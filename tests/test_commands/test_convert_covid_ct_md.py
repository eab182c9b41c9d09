"""Conversion of COVID-CT-MD as a command."""

import argparse

from conversion_helpers import write_covid_ct_md

from mmaffinity.commands import convert


def test_slices_of_each_class_are_counted(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    args = parser.parse_args(
        [
            'covid-ct-md',
            str(write_covid_ct_md(tmp_path / 'raw')),
            '--out',
            str(tmp_path / 'out'),
            '--val-share',
            '0',
            '--test-share',
            '0',
        ]
    )
    assert convert.run(args) == 0
    assert 'slices_train  COVID-19' in capsys.readouterr().out
