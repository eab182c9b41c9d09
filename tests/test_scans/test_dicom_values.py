"""Numbers in DICOM headers as written in practice."""

import pytest
from scan_helpers import chest, dicom_slice, save_dicom

from mmaffinity.scans import Problem, ReadOptions, find_scans

pydicom = pytest.importorskip('pydicom')


def with_text(folder, index=0, **entries):
    """A slice with entries of any bytes, which pydicom would not write from values."""
    data = dicom_slice(chest(index).astype('int16'), index)
    for keyword in entries:
        setattr(data, keyword, getattr(data, keyword, None) or '1')
    path = save_dicom(folder / f'{index}.dcm', data)
    for keyword, text in entries.items():
        tag = pydicom.tag.Tag(keyword)
        kind = pydicom.datadict.dictionary_VR(tag).encode()
        content = path.read_bytes()
        start = content.index(tag.group.to_bytes(2, 'little') + tag.element.to_bytes(2, 'little') + kind)
        length = int.from_bytes(content[start + 6 : start + 8], 'little')
        new = text.encode('latin-1') + b' ' * (len(text) % 2)
        path.write_bytes(content[: start + 6] + len(new).to_bytes(2, 'little') + new + content[start + 8 + length :])
    return path


def only_scan(folder):
    (scan,) = find_scans(folder, ReadOptions())
    return scan


@pytest.mark.parametrize(
    'keyword, text, expected',
    [
        ('PixelSpacing', '0,8\\0,7', (0.8, 0.7)),
        ('PixelSpacing', ' 0,8\\0.7', (0.8, 0.7)),
        ('PixelSpacing', '8,0E-1\\0,7', (0.8, 0.7)),
        ('SliceThickness', '2,5', 2.5),
        ('ImagePositionPatient', '-100,0\\-80,0\\-300,5', (-100, -80, -300.5)),
        ('ImageOrientationPatient', '1,0\\0,0\\0,0\\0,0\\1,0\\0,0', (1, 0, 0, 0, 1, 0)),
        ('SliceLocation', '-12,5', -12.5),
    ],
)
def test_a_decimal_comma_is_read_and_noted(tmp_path, keyword, text, expected):
    with_text(tmp_path, **{keyword: text})
    (header,) = only_scan(tmp_path).headers
    found = {
        'PixelSpacing': header.spacing,
        'SliceThickness': header.thickness,
        'ImagePositionPatient': header.corner,
        'ImageOrientationPatient': header.orientation,
        'SliceLocation': header.location,
    }[keyword]
    assert found == expected and f'{keyword} is written with a decimal comma, read as a decimal point' in header.notes


@pytest.mark.parametrize('entry', [dict(RescaleIntercept='-24,0'), dict(RescaleSlope='1,0')])
def test_a_decimal_comma_in_the_rescale_tags(tmp_path, entry):
    with_text(tmp_path, **entry)
    (item,) = only_scan(tmp_path).read()
    assert not isinstance(item, Problem) and any('decimal comma' in note for note in item.notes)


@pytest.mark.parametrize(
    'keyword, text',
    [
        ('PixelSpacing', '0.8'),
        ('PixelSpacing', 'abc\\0.7'),
        ('PixelSpacing', '1.024,5\\1'),
        ('PixelSpacing', '0.8\\0.7\\1'),
        ('ImagePositionPatient', 'NaN\\0\\0'),
        ('ImagePositionPatient', 'x\\y\\z'),
        ('InstanceNumber', '1A'),
        ('SliceThickness', 'thin'),
        ('SliceLocation', 'inf'),
    ],
)
def test_invalid_optional_number_is_named_and_ignored(tmp_path, keyword, text):
    with_text(tmp_path, **{keyword: text})
    scan = only_scan(tmp_path)
    (note,) = (note for note in scan.info.notes if note.startswith(keyword))
    assert repr(text) in note and note.endswith('ignored')
    assert ('no usable PixelSpacing: areas and volumes are unknown' in scan.info.notes) == (keyword == 'PixelSpacing')
    (item,) = scan.read()
    assert not isinstance(item, Problem)


@pytest.mark.parametrize(
    'keyword, text',
    [
        ('NumberOfFrames', '1A'),
        ('NumberOfFrames', '-1'),
        ('NumberOfFrames', '1.5'),
        ('RescaleIntercept', 'x'),
        ('RescaleSlope', '1\\2'),
        ('RescaleIntercept', '1.024,0'),
    ],
)
def test_invalid_required_entry_is_named_with_its_value(tmp_path, keyword, text):
    with_text(tmp_path, **{keyword: text})
    (found,) = find_scans(tmp_path, ReadOptions())
    problem = found if isinstance(found, Problem) else next(found.read())
    assert isinstance(problem, Problem) and f'{keyword} {text!r}' in problem.reason and 'correct' in problem.reason


def test_any_notation_of_one_frame_is_accepted(tmp_path):
    for index, text in enumerate(('1', ' 1 ', '1.0')):
        with_text(tmp_path, index, NumberOfFrames=text)
    assert only_scan(tmp_path).info.num_slices == 3
