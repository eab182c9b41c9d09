"""Names, rows and metadata of COVIDx-CT."""

import pytest

from mmaffinity.datasets.conversion.covidx_lists import (
    PatientMetadata,
    metadata_id,
    parse_covidx_ct_list,
    read_metadata,
    read_name,
)

LIDC = '1.3.6.1.4.1.14519.5.2.1.6279.6001.106164978370116976238911317774'
HEADER = 'patient id,source,country,sex,age,finding,verified finding,slice selection,view,modality\n'


@pytest.mark.parametrize(
    'name, source, patient, scan, label',
    [
        ('NCP_1013_2577_0000', 'CNCB', 'NCP_1013', 'NCP_1013_2577', 2),
        ('CP_0_3131_0027', 'CNCB', 'CP_0', 'CP_0_3131', 1),
        ('Normal_1759_1111_0000', 'CNCB', 'Normal_1759', 'Normal_1759_1111', 0),
        ('coronacases_007-0078', 'COVID-19-CT-Seg', 'coronacases_007', 'coronacases_007', None),
        ('radiopaedia_10_85902_1-0052', 'COVID-19-CT-Seg', 'radiopaedia_10', 'radiopaedia_10_85902_1', None),
        ('volume-covid19-A-0437_ct-0008', 'TCIA', 'volume-covid19-A-0437', 'volume-covid19-A-0437', None),
        ('volume-covid19-A-0383_1_ct-0018', 'TCIA', 'volume-covid19-A-0383', 'volume-covid19-A-0383_1', None),
        ('volume-covid19-A-0383_0-0120', 'TCIA', 'volume-covid19-A-0383', 'volume-covid19-A-0383_0', None),
        ('137covid_patient45_SR_2_IM00010', 'COVID-CTset', 'patient45', '137covid_patient45_SR_2', 2),
        ('normal2_patient318_SR_2_IM00007', 'COVID-CTset', 'patient318', 'normal2_patient318_SR_2', 0),
        ('cdnormal4_patient146_SR_2_IM00006', 'COVID-CTset', 'patient146', 'cdnormal4_patient146_SR_2', 0),
        ('normalcd1_patient408_SR_2_IM00008', 'COVID-CTset', 'patient408', 'normalcd1_patient408_SR_2', 0),
        (f'LIDC-IDRI-0236-{LIDC}-0039', 'LIDC-IDRI', 'LIDC-IDRI-0236', f'LIDC-IDRI-0236-{LIDC}', None),
        ('radiopaedia-74560-85486-1-0018', 'radiopaedia.org', 'radiopaedia-74560', 'radiopaedia-74560-85486-1', None),
        ('HUST-Patient10-0025', 'iCTCF', 'HUST-Patient10', 'HUST-Patient10', None),
        ('COVIDCTMD-P001-IM0027', 'COVID-CT-MD', 'COVIDCTMD-P001', 'COVIDCTMD-P001', 2),
        ('COVIDCTMD-cap001-IM0049', 'COVID-CT-MD', 'COVIDCTMD-cap001', 'COVIDCTMD-cap001', 1),
        ('COVIDCTMD-normal076-IM0171', 'COVID-CT-MD', 'COVIDCTMD-normal076', 'COVIDCTMD-normal076', 0),
        ('STOIC-10011-0103', 'STOIC', 'STOIC-10011', 'STOIC-10011', None),
        (
            'A002304-01-10-1901-NA-CT-ABD-AND-PELVIS-WITH-IV-CONT-76655-2-0001',
            'Stony Brook',
            'A002304',
            'A002304-01-10-1901-NA-CT-ABD-AND-PELVIS-WITH-IV-CONT-76655-2',
            None,
        ),
        ('study_0306-0017', 'MosMedData', 'study_0306', 'study_0306', None),
        ('mri_5-0001', None, None, None, None),
        ('NCP_1013_0000', None, None, None, None),
        ('Normal_1_2_3_4', None, None, None, None),
    ],
)
def test_names(name, source, patient, scan, label):
    assert read_name(name) == (source, patient, scan, label)


def test_rows(tmp_path):
    path = tmp_path / 'list.txt'
    text = '\ufeffNCP_96_1328_0032.png 2 9 94 512 405\r\n\r\nmine.v2-7.jpg  0\r\nSTOIC-1-0002.png\t2 0 0 1 1'
    path.write_bytes(text.encode())
    first, second, third = parse_covidx_ct_list(path)
    assert (first.name, first.label, first.box, first.origin.patient) == ('NCP_96_1328_0032', 2, (9, 94, 512, 405), 'NCP_96')
    assert (second.name, second.label, second.box, second.origin.source) == ('mine.v2-7', 0, None, None)
    assert third.box == (0, 0, 1, 1)


@pytest.mark.parametrize(
    'row, reason',
    [
        ('NCP_1_2_0003.png', 'it does not have the form "file label xmin ymin xmax ymax"'),
        ('NCP_1_2_0003.png 2 0 0 9', 'it does not have the form'),
        ('NCP_1_2_0003.png 2 0 0 9 9.5', 'it does not have the form'),
        ('NCP_1_2_0003.dcm 2 0 0 9 9', 'it does not have the form'),
        ('../NCP_1_2_0003.png 2 0 0 9 9', 'it does not have the form'),
        ('a\\b.png 2 0 0 9 9', 'it does not have the form'),
        ('STOIC-1-0002.png 3 0 0 9 9', 'its label is 3; labels are 0 Normal, 1 Pneumonia, 2 COVID-19'),
        ('STOIC-1-0002.png -1 0 0 9 9', 'its label is -1; labels are'),
        ('NCP_1_2_0003.png 0 0 0 9 9', 'its label is 0, but its name is that of a slice with label 2'),
        ('COVIDCTMD-cap001-IM0049.png 2 0 0 9 9', 'its label is 2, but its name is that of a slice with label 1'),
        ('STOIC-1-0002.png 2 9 0 9 9', 'its box 9 0 9 9 is not xmin ymin xmax ymax'),
        ('STOIC-1-0002.png 2 0 9 9 8', 'its box 0 9 9 8 is not'),
        ('STOIC-1-0002.png 2 -1 0 9 9', 'its box -1 0 9 9 is not'),
        ('STOIC-9-0001.png 1 0 0 5 5', 'repeats the slice of line 1'),  # with another label and box
    ],
)
def test_invalid_rows(tmp_path, row, reason):
    path = tmp_path / 'list.txt'
    path.write_text(f'STOIC-9-0001.png 2 0 0 9 9\n{row}\n')
    with pytest.raises(ValueError) as error:
        parse_covidx_ct_list(path)
    assert f'{path}, line 2: ' in str(error.value) and reason in str(error.value)


def test_metadata_separates_some_patients(tmp_path):
    path = tmp_path / 'metadata.csv'
    path.write_text(
        HEADER + 'CP_0,CNCB,China,,,Pneumonia,Yes,Expert,Axial,CT\n'
        'volume-covid19-A-0383_1,TCIA,,,,COVID-19,Yes,Expert,Axial,CT\n'
        '"radiopaedia_4_85506",COVID-19-CT-Seg,,,,COVID-19,Yes,Expert,Axial,CT\n'
        'clinic-7,Elsewhere,,,,Normal,Yes,N/A,Axial,CT\n'
    )
    metadata = read_metadata(path)
    assert metadata['CP_0'] == PatientMetadata('CNCB', 'Pneumonia') and len(metadata) == 4
    (tmp_path / 'list.txt').write_text(
        ''.join(
            f'{name}.png {label}\n'
            for name, label in (
                ('CP_0_1_0001', 1),
                ('volume-covid19-A-0383_1_ct-0018', 2),
                ('radiopaedia_4_85506_1-0004', 2),
                ('clinic-7-a_b-3', 0),
                ('CP_1_1_0001', 1),
                ('clinic-77-3', 0),
            )
        )
    )
    rows = parse_covidx_ct_list(tmp_path / 'list.txt')
    assert [metadata_id(row, metadata) for row in rows] == [
        'CP_0',
        'volume-covid19-A-0383_1',
        'radiopaedia_4_85506',
        'clinic-7',
        None,
        None,
    ]


def test_invalid_metadata(tmp_path):
    path = tmp_path / 'metadata.csv'
    with pytest.raises(FileNotFoundError, match='metadata.csv does not exist: pass .*metadata.csv with --metadata'):
        read_metadata(path)
    path.write_text('patient,source,finding\n')
    with pytest.raises(ValueError, match="metadata.csv has no column 'patient id'; it has patient, source"):
        read_metadata(path)
    path.write_text(HEADER + 2 * 'CP_0,CNCB,China,,,Pneumonia,Yes,Expert,Axial,CT\n')
    with pytest.raises(ValueError, match='metadata.csv, line 3: patient CP_0 occurs twice'):
        read_metadata(path)
    path.write_bytes(b'\xff\xfe\x00\x01')
    with pytest.raises(ValueError, match='cannot be read as UTF-8 text'):
        read_metadata(path)


def test_real_metadata_and_lists_agree(shared_dir):
    """Every patient of the real lists is in the real metadata.csv, with the source and finding of the lists."""
    folder = shared_dir / 'data' / 'covidx_ct_v3'
    metadata = read_metadata(folder / 'metadata.csv')
    findings = ('Normal', 'Pneumonia', 'COVID-19')
    for split in ('val', 'test'):
        for row in parse_covidx_ct_list(folder / f'{split}_COVIDx_CT-3A.txt'):
            assert metadata[metadata_id(row, metadata)] == (row.origin.source, findings[row.label])


def test_every_real_patient_id_belongs_to_a_known_source(shared_dir):
    """A slice of any patient in the real metadata.csv, including training sources, gets that source and patient."""
    tails = {
        'CNCB': '_1_0001',
        'COVID-19-CT-Seg': '-0001',
        'TCIA': '-0001',
        'COVID-CTset': '_SR_2_IM00001',
        'LIDC-IDRI': '-1.2.3-0001',
        'radiopaedia.org': '-1-0-0001',
        'iCTCF': '-0001',
        'COVID-CT-MD': '-IM0001',
        'STOIC': '-0001',
        'Stony Brook': '-01-01-1901-NA-CT-2-0001',
        'MosMedData': '-0001',
    }
    metadata = read_metadata(shared_dir / 'data' / 'covidx_ct_v3' / 'metadata.csv')
    persons = set()
    for patient, (source, finding) in metadata.items():
        head = {'Normal': 'normal1_', 'COVID-19': '137covid_'}[finding] if source == 'COVID-CTset' else ''
        tail = '_0-0001' if patient.startswith('radiopaedia_') else tails[source]
        found = read_name(head + patient + tail)
        assert found.source == source and patient.startswith(found.patient), patient
        persons.add(found.patient)
    assert len(metadata) == 6068 and len(persons) == 6068 - 17  # 17 patients of TCIA have two series
