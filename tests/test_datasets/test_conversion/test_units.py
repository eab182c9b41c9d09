"""Units of splitting: patients from a pattern or a table, groups otherwise."""

import pytest

from mmaffinity.datasets.conversion import ConversionSummary, PatientTable, UnitOptions
from mmaffinity.datasets.conversion.units import Unit, find_units
from mmaffinity.datasets.verification.image_facts import FileFacts

# Two images whose hashes differ in 8 bits, and a different one.
ALIKE = bytes(range(256))
FACTS = {
    'a/P1_0': FileFacts(hash=0, thumb=ALIKE),
    'a/P1_1': FileFacts(hash=0xFF, thumb=ALIKE),
    'b/P2_0': FileFacts(hash=0xFFFF0000, thumb=ALIKE[::-1]),
}


@pytest.fixture
def summary():
    return ConversionSummary('x')


def test_a_pattern_names_patients(summary):
    units = find_units(FACTS, UnitOptions(r'/(?P<patient>P\d)_'), 'the folder', summary)
    assert units == {'a/P1_0': Unit('P1', None), 'a/P1_1': Unit('P1', None), 'b/P2_0': Unit('P2', None)}
    assert [unit.name for unit in units.values()] == ['P1', 'P1', 'P2'] and not summary.warnings


def test_table_names_patients_and_omits_others(summary, tmp_path):
    (tmp_path / 'table.csv').write_text('slice,patient\na/P1_0,7\nb/P2_0,7\n')
    table = PatientTable(str(tmp_path / 'table.csv'), 'slice', 'patient')
    assert find_units(FACTS, UnitOptions(patients=table), '', summary) == {'a/P1_0': Unit('7', None), 'b/P2_0': Unit('7', None)}
    assert summary.problems == [f'1 slice without a patient in {tmp_path / "table.csv"} (a/P1_1)']


def test_without_patients_similar_slices_form_a_group(summary):
    units = find_units(FACTS, UnitOptions(), '', summary)  # the verifier's 6 bits would not suffice
    assert units == {'a/P1_0': Unit(None, 'a/P1_0'), 'a/P1_1': Unit(None, 'a/P1_0'), 'b/P2_0': Unit(None, 'b/P2_0')}
    assert units['a/P1_1'].name == 'a/P1_0'
    assert '(3 slices in 2 groups, the largest with 2)' in summary.warnings[0]


def test_invalid_options(tmp_path):
    with pytest.raises(ValueError, match='is not a regular expression'):
        UnitOptions('(')
    with pytest.raises(ValueError, match='patients are specified twice, by patient_pattern=.* and by table.csv'):
        UnitOptions('(a)', PatientTable('table.csv', 'slice', 'patient'))
