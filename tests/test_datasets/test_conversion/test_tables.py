"""Tables of patients: names with and without folders and extension, and invalid tables."""

import pytest

from mmaffinity.datasets.conversion import PatientTable


@pytest.fixture
def table(tmp_path):

    def write(content, encoding='utf-8'):
        (tmp_path / 'table.csv').write_bytes(content.encode(encoding))
        return PatientTable(str(tmp_path / 'table.csv'), 'slice', 'patient')

    return write


@pytest.mark.parametrize(
    'content',
    [
        'slice,case,patient\n0001,a,P1\n0002,b,P2\n',
        'patient;slice\nP1;0001.jpg\nP2;./0002.PNG\n',
        '\ufeffslice\tpatient\r\n0001 \t P1\r\n0002\tP2\r\n',
        'slice,patient\nimage\\0001.png,P1\nimage/0002.png,P2\n',
        'slice,patient\n"0001","P1"\n0001,P1\n0002,P2\n0003,\n',
    ],
)
def test_forms(table, content):
    assert table(content).patients_of(['0001', '0002', '0003']) == {'0001': 'P1', '0002': 'P2'}
    assert table(content).patients_of(['x/0001.jpg', 'y/0002.png']) == {'x/0001.jpg': 'P1', 'y/0002.png': 'P2'}


def test_name_without_its_folder_must_be_unique(table):
    found = table('slice,patient\n1,P1\n2,P2\n').patients_of(['a/1.png', 'b/1.png', 'a/2.png'])
    assert found == {'a/2.png': 'P2'}
    found = table('slice,patient\nx/1,P1\ny/1,P2\nx/2,P3\n').patients_of(['1.png', '2.png', 'y/1.png'])
    assert found == {'2.png': 'P3', 'y/1.png': 'P2'}


@pytest.mark.parametrize(
    'content, words',
    [
        ('image,patient\n1,P1\n', "table.csv has no column 'slice'; it has image, patient"),
        ('', "has no column 'slice'; it has none"),
        ('slice,patient\n', "has no row with both a 'slice' and a 'patient'"),
        ('slice,patient\n1,P1\n1.png,P2\n', "line 3 of .*table.csv assigns 1.png to the patient 'P2', but an earlier .* 'P1'"),
        ('slice,patient\n7,P1\n', r"column 'slice' of .*table.csv \(7\) contains none of the slices \(1\)"),
    ],
)
def test_invalid_tables(table, content, words):
    with pytest.raises(ValueError, match=words):
        table(content).patients_of(['1'])


def test_missing_table(table, tmp_path):
    with pytest.raises(ValueError, match='the patient table .*cannot be read as UTF-8 text'):
        table('slice,patient\n1,J\xfcrgen\n', 'latin-1').patients_of(['1'])
    with pytest.raises(FileNotFoundError, match='the patient table .*none.csv does not exist'):
        PatientTable(str(tmp_path / 'none.csv'), 'slice', 'patient').patients_of(['1'])
