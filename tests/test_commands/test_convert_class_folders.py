"""Conversion of class folders as a command."""

import argparse
import json

from conversion_helpers import put_smooth_slice

from mmaffinity.commands import convert


def test_classes_and_similarity_are_recorded(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    for number in range(8):
        put_smooth_slice(tmp_path / 'in' / 'ab'[number % 2] / f'{number}.png', number)
    args = parser.parse_args(
        [
            'class-folders',
            str(tmp_path / 'in'),
            '--out',
            str(tmp_path / 'out'),
            '--classes',
            'b',
            'a',
            '--near-bits',
            '3',
            '--near-correlation',
            '0.999',
            '--val-share',
            '0',
            '--test-share',
            '0.25',
        ]
    )
    assert convert.run(args) == 0
    assert 'slices_test' in capsys.readouterr().out
    record = json.loads((tmp_path / 'out/annotations/conversion.json').read_text())
    assert record['units']['near'] == dict(radius=3, correlation=0.999) and record['options']['classes'] == ['b', 'a']
