"""Functional groups of Enhanced CT: the entries that are used, values of the wrong type, and limits."""

import struct

import pytest
from frame_helpers import chest_frames, enhanced_ct, groups
from scan_helpers import save_dicom

from mmaffinity.scans import find_scans
from mmaffinity.scans.functional_groups import check_items, group_values, integer_of, short, text_of, value_of

pydicom = pytest.importorskip('pydicom')


@pytest.mark.parametrize('undefined', [False, True])
def test_headers_with_too_many_entries_are_rejected(tmp_path, undefined):
    """pydicom takes minutes and gigabytes for them."""
    path = save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(2)))
    content = path.read_bytes()
    at = content.index(b'\0\x52\x30\x92SQ\0\0')
    end = at + 12 + struct.unpack_from('<I', content, at + 8)[0]
    items = (b'\xfe\xff\0\xe0' + struct.pack('<I', 8) + b'\x20\0\x56\x90SH\0\0') * 150_000
    length = b'\xff\xff\xff\xff' if undefined else struct.pack('<I', len(items))
    path.write_bytes(content[: at + 8] + length + items + b'\xfe\xff\xdd\xe0\0\0\0\0' * undefined + content[end:])
    (problem,) = find_scans(path)
    assert 'entries for a' in problem.reason


def raw(tag, kind, value):
    """An entry as read from a file, before its conversion."""
    return pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), kind, len(value), value, 0, False, True)


def test_entries_of_the_used_macros_are_read_by_keyword():
    data = groups(
        PixelMeasures=dict(PixelSpacing=[0.8, 0.7], SliceThickness=None),
        PixelValueTransformation=dict(RescaleSlope=2, RescaleType='HU'),
        FrameContent=dict(StackID='1', InStackPositionNumber=3, FrameComments='not used'),
        CTReconstruction=dict(ConvolutionKernel=''),
        IrradiationEventIdentification=dict(KVP=120),  # a macro that is not used
    )
    values = group_values(data)
    assert values == dict(PixelSpacing=(0.8, 0.7), RescaleSlope=2.0, RescaleType='HU', StackID='1', InStackPositionNumber=3)
    assert {type(value) for value in values.values()} == {tuple, float, str, int}  # not pydicom's, which refer to the file
    region = pydicom.Dataset()
    region.CodeMeaning = 'Lung'
    assert group_values(groups(FrameAnatomy=dict(AnatomicRegionSequence=[region]))) == dict(BodyPartExamined='Lung')
    assert group_values(pydicom.Dataset()) == {}


def test_values_of_the_wrong_type_are_text():
    data = pydicom.Dataset()
    data[pydicom.tag.Tag('PixelSpacing')] = raw('PixelSpacing', 'DS', b'0,8\\0.7')
    data[pydicom.tag.Tag('KVP')] = raw('KVP', 'DS', b'high')
    data.Rows = 64
    assert value_of(data, 'PixelSpacing') == ('0,8', '0.7') and value_of(data, 'KVP') == 'high'
    assert value_of(data, 'Rows') == value_of(data, pydicom.tag.Tag('Rows')) == 64 and value_of(data, 'Columns') is None


@pytest.mark.filterwarnings('ignore:The value length')
def test_text_is_short_and_printable():
    data = pydicom.Dataset()
    data.ConvolutionKernel, data.StudyDescription = [' B\x1b[31m70f ', 'I'], ' a\nb' + 'c' * 100
    assert text_of(data, 'StudyDescription') == 'ab' + 'c' * 61 and len(short('ä' * 100)) == 64
    assert '\x1b' not in text_of(data, 'ConvolutionKernel') and text_of(data, 'Manufacturer') == ''


@pytest.mark.filterwarnings('ignore:Invalid value for VR')
@pytest.mark.parametrize('value, expected', [('12', 12), ('-3', -3), ('', None), (None, None)])
def test_integers(value, expected):
    data = pydicom.Dataset()
    data.InstanceNumber = value
    assert integer_of(data, 'InstanceNumber') == expected and integer_of(data, 'NumberOfFrames') is None
    data[pydicom.tag.Tag('InstanceNumber')] = raw('InstanceNumber', 'IS', b'many')
    assert integer_of(data, 'InstanceNumber') is None


@pytest.mark.parametrize('mark', [b'\xfe\xff\0\xe0', b'\xff\xfe\xe0\0'])  # items in either byte order
def test_limits_grow_with_the_file(mark):
    data = pydicom.Dataset()
    tag = pydicom.tag.Tag('PerFrameFunctionalGroupsSequence')
    data[tag] = raw(tag, 'SQ', (mark + bytes(4)) * 10_004)
    check_items(data, 1024)
    with pytest.raises(ValueError, match='too many functional-group entries for a file of its size'):
        check_items(data, 1023)
    data[tag] = raw(tag, 'SQ', bytes(4 * 1024**2 + 256))
    check_items(data, 1024)
    with pytest.raises(ValueError, match='too many functional-group entries'):
        check_items(data, 1023)
