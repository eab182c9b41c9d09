import pytest

from mmaffinity.datasets.patients import check_patient_pattern, patient_in


@pytest.mark.parametrize(
    'name, pattern, patient',
    [
        ('radiopaedia_29_86490_1', r'(coronacases_\d+|radiopaedia_\d+)', 'radiopaedia_29'),
        ('scan7_patient12', r'scan(\d+)_patient(?P<patient>\d+)', '12'),
    ],
)
def test_patient_in_a_name(name, pattern, patient):
    check_patient_pattern(pattern)
    assert patient_in(name, pattern, 'here') == patient


def test_wrong_patterns():
    check_patient_pattern(None)
    with pytest.raises(ValueError, match=r"patient_pattern='a\+' has no group"):
        check_patient_pattern('a+')
    with pytest.raises(ValueError, match=r"patient_pattern='\(' is no regular expression"):
        check_patient_pattern('(')
    with pytest.raises(ValueError, match='finds no patient in b of /data'):
        patient_in('b', '(a)', '/data')
