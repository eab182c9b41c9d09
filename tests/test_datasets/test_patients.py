import pytest

from mmaffinity.datasets.patients import check_pattern, patient_in


@pytest.mark.parametrize(
    'name, pattern, patient',
    [
        ('radiopaedia_29_86490_1', r'(coronacases_\d+|radiopaedia_\d+)', 'radiopaedia_29'),
        ('scan7_patient12', r'scan(\d+)_patient(?P<patient>\d+)', '12'),
    ],
)
def test_patient_in_a_name(name, pattern, patient):
    check_pattern('patient_pattern', pattern)
    assert patient_in(name, pattern, 'here') == patient


def test_invalid_patterns():
    assert check_pattern('patient_pattern', None) is None
    with pytest.raises(ValueError, match=r"patient_pattern='a\+' has no group: enclose the patient in parentheses"):
        check_pattern('patient_pattern', 'a+')
    with pytest.raises(ValueError, match=r"patient_pattern='\(' is not a regular expression"):
        check_pattern('patient_pattern', '(')
    with pytest.raises(ValueError, match='matches no patient in b of /data'):
        patient_in('b', '(a)', '/data')
