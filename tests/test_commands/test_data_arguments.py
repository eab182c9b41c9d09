"""Arguments shared by the commands that convert data."""

import argparse

import pytest

from mmaffinity.commands import data_arguments as shared
from mmaffinity.datasets.conversion import LesionOptions, PatientTable, SplitOptions, UnitOptions
from mmaffinity.datasets.conversion.units import GROUPING
from mmaffinity.datasets.verification.near import Near


def parse(add, *words):
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(words)


def test_only_given_lists_replace_the_published_names():
    def add(parser):
        shared.add_download_arguments(parser, dict(train='training list', lesions_test='lesions'))

    found = shared.download_options(parse(add, '--lesions-test-list', 'mine.txt', '--lists', 'a', 'b', '--no-check-files'))
    found.pop('progress')
    assert found == dict(
        lists=dict(lesions_test='mine.txt'), list_folders=['a', 'b'], skip_statistics=False, check_files=False, workers=None
    )
    assert shared.download_options(parse(add, '--skip-statistics', '--workers', '3'))['lists'] == {}


def test_results_are_split_as_from_python():
    def add(parser):
        shared.add_result_arguments(parser, 'data/mine')

    args = parse(add)
    found = shared.result_options(args)
    assert args.out == 'data/mine' and found['splits'] == SplitOptions() and not found['overwrite']
    words = ['--val-share', '0.2', '--test-share', '0', '--folds', '5', '--seed', '7', '--overwrite', '--workers', '2']
    found = shared.result_options(parse(add, *words))
    assert found['splits'] == SplitOptions(0.2, 0.0, 5, 7) and found['overwrite'] and found['workers'] == 2


def test_impossible_shares_are_an_error():
    args = parse(lambda parser: shared.add_result_arguments(parser, 'x'), '--val-share', '0.6', '--test-share', '0.5')
    with pytest.raises(ValueError, match='share'):
        shared.result_options(args)


def test_lesions():
    assert shared.lesion_options(parse(shared.add_lesion_arguments)) == LesionOptions()
    args = parse(shared.add_lesion_arguments, '--lesion-labels', '2', '3', '--negatives', '--min-area', '20')
    assert shared.lesion_options(args) == LesionOptions([2, 3], True, 20)


def test_patients_come_from_a_table_a_pattern_or_similarity():
    add = shared.add_unit_arguments
    assert shared.unit_options(parse(add)) == UnitOptions(None, None, GROUPING)
    table = shared.unit_options(parse(add, '--patients', 'a.csv', 'image', 'person', '--near-bits', '3'))
    assert table == UnitOptions(None, PatientTable('a.csv', 'image', 'person'), Near(3, GROUPING.correlation))
    assert shared.unit_options(parse(add, '--patient-pattern', '^(P)', '--near-correlation', '0.9')) == UnitOptions(
        '^(P)', None, Near(GROUPING.radius, 0.9)
    )


def test_volumes_may_be_thinned():
    def add(parser):
        shared.add_volume_arguments(parser, 'data/volumes')

    assert parse(add).every == 1 and parse(add, '--every', '5', '--window', '40', '400').every == 5
