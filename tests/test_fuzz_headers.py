"""Fuzzing of headers: files are predicted, noted or rejected, never an exception, and the same with --resume.

Files are intact with good pixels; one or a few header entries are wrong. The suite runs few examples; run many with

    HYPOTHESIS_PROFILE=fuzz MMAFFINITY_FUZZ_EXAMPLES=5000 python -m pytest tests/test_fuzz_headers.py

The model runs once per slice size and its output is reused, so that the time goes to reading and writing.
"""

import contextlib
import copy
import gzip
import io
import json
import os
import shutil
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_helpers import chest, chest_volume, dicom_slice, write_model

from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.apis.prediction_report import PredictionReport, report_lines

pytestmark = pytest.mark.slow

pydicom, nibabel = pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
highdicom = pytest.importorskip('highdicom')

NIGHT = os.environ.get('HYPOTHESIS_PROFILE') == 'fuzz'  # a profile of conftest.py
SIZE = 64
LONG = (b'OB', b'OD', b'OF', b'OL', b'OW', b'SQ', b'UC', b'UN', b'UR', b'UT')  # types with a length of 32 bits
TYPES = [name.encode() for name in 'AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT XX'.split()]
TEXTS = [
    b'',
    b' ',
    b'\0',
    b'0',
    b'1',
    b'-1',
    b'1\\2',
    b'1\\\\2',
    b'1,5',
    b'1e400',
    b'-1e400',
    b'1e-400',
    b'nan',
    b'inf',
    b'0x10',
    b'1A',
    b'None',
    b'1_0',
    b'\xd9\xa3',
    b'\xff\xfe',
    b'\x1b$B',
    b'\\',
    b'\\' * 40,
    b'9' * 400,
    b'1' * 70000,
    b'CT\\PT',
    b'MONOCHROME1',
    b'1.2.840.10008.1.2.4.90',
    b'ISO 2022 IR 87',
    b'ISO_IR 999',
    b'20201399',
    b'../../x',
    b'1\\0\\0\\0\\1\\0',
    b'0\\0\\0\\0\\0\\0',
    b'0\\1\\0\\1\\0\\0',
    b'1\\0\\0\\1\\0\\0',
    b'-1024',
    b'a' * 65,
    b'1\\0\\0\\0\\-1\\0\\0',
]
WORDS = [0, 1, 2, 8, 11, 12, 15, 16, 31, 32, 33, 63, 65, 128, 255, 4096, 32767, 32768, 65535]


def few(number):
    """Examples of a fast test in the suite, and of every test by night."""
    return settings() if NIGHT else settings(max_examples=number)


# --- DICOM: entries (group, element, type, value), of which a file is made again -----------------------------------------


def entries_of(content):
    """The entries after the mark of a file in explicit VR little endian without sequences."""
    position, found = 132, []
    while position < len(content):
        group, element, kind = struct.unpack_from('<HH2s', content, position)
        wide = kind in LONG
        (length,) = struct.unpack_from('<I' if wide else '<H', content, position + (8 if wide else 6))
        position += 12 if wide else 8
        found.append((group, element, kind, content[position : position + length]))
        position += length
    return found


def entry_bytes(group, element, kind, value, implicit=False, order='<', length=None):
    """An entry as it stands in a file; ``length`` overrides what is stated of the value."""
    length = len(value) if length is None else length
    if implicit:
        return struct.pack(f'{order}HHI', group, element, length % 2**32) + value
    if kind in LONG:
        return struct.pack(f'{order}HH2sHI', group, element, kind, 0, length % 2**32) + value
    return struct.pack(f'{order}HH2sH', group, element, kind, length % 2**16) + value


VALUES = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(WORDS).map(lambda word: struct.pack('<H', word)),
    st.binary(max_size=12),
    st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: struct.pack(f'<{len(words)}H', *words)),
    st.floats(width=32).map(lambda number: struct.pack('<f', number)),
    st.floats().map(lambda number: struct.pack('<d', number)),
    st.floats().map(lambda number: repr(number).encode()),
    st.integers(-(2**40), 2**40).map(lambda number: str(number).encode()),
)
NEW = st.sampled_from(
    [  # entries that the slices of the tests lack
        (0x0008, 0x0005, b'CS'),
        (0x0008, 0x0103, b'SQ'),
        (0x0018, 0x1120, b'DS'),
        (0x0018, 0x0015, b'CS'),
        (0x0018, 0x0088, b'DS'),
        (0x0020, 0x1041, b'DS'),
        (0x0028, 0x0008, b'IS'),
        (0x0028, 0x0006, b'US'),
        (0x0028, 0x0034, b'IS'),
        (0x0028, 0x0120, b'US'),
        (0x0028, 0x0121, b'US'),
        (0x0028, 0x3000, b'SQ'),
        (0x0009, 0x0010, b'LO'),
        (0x0029, 0x1010, b'UN'),
        (0x0028, 0x1050, b'DS'),
        (0x5200, 0x9229, b'SQ'),
        (0x5200, 0x9230, b'SQ'),
        (0x6000, 0x3000, b'OW'),
        (0x7FE0, 0x0008, b'OF'),
        (0xFFFC, 0xFFFC, b'OB'),
    ]
)
ITEM, SEQUENCE_END = b'\xfe\xff\0\xe0', b'\xfe\xff\xdd\xe0\0\0\0\0'


@st.composite
def dicom_headers(draw, originals):
    """A DICOM file of good pixels, some of whose entries were changed, removed, added, repeated or moved."""
    entries = [(*entry, None) for entry in entries_of(draw(st.sampled_from(originals)))]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(entries) - 2, 0)))  # the last are the pixels
        group, element, kind, value, length = entries[at]
        action = draw(st.sampled_from('value value value type length delete repeat move add sequence'.split()))
        if action == 'value':
            entries[at] = group, element, kind, draw(VALUES), None
        elif action == 'type':
            entries[at] = group, element, draw(st.sampled_from(TYPES)), value, length
        elif action == 'length':
            stated = draw(st.sampled_from([0, 1, len(value) + 1, len(value) + 2, 2 * len(value), 65534, 2**31, 2**32 - 1]))
            entries[at] = group, element, kind, value, stated
        elif action == 'delete' and len(entries) > 2:
            del entries[at]
        elif action == 'repeat':
            entries.insert(at, (group, element, kind, draw(VALUES), None))
        elif action == 'move':
            entries.insert(draw(st.integers(0, len(entries) - 1)), entries.pop(at))
        elif action == 'add':
            entries.insert(at, (*draw(NEW), draw(VALUES), None))
        else:
            inner = entry_bytes(*draw(NEW), draw(VALUES))
            item = ITEM + struct.pack('<I', draw(st.sampled_from([len(inner), 2**32 - 1, 0, 1]))) + inner
            entries.insert(
                at,
                (
                    group,
                    element,
                    b'SQ',
                    item + draw(st.sampled_from([b'', SEQUENCE_END])),
                    draw(st.sampled_from([None, 2**32 - 1])),
                ),
            )
    implicit = draw(st.integers(0, 7)) == 0
    mark = draw(st.sampled_from([bytes(128) + b'DICM'] * 7 + [b'']))
    return mark + b''.join(entry_bytes(*entry[:4], implicit and entry[0] != 2, '<', entry[4]) for entry in entries)


@pytest.fixture(scope='module')
def slices():
    """A signed and an unsigned slice, one of run lengths, one with most of what a scanner writes."""
    pixels = chest(0, SIZE).astype(np.int16)
    more = dict(
        SpecificCharacterSet='ISO_IR 100',
        BodyPartExamined='CHEST',
        GantryDetectorTilt=0,
        SliceLocation=-300,
        PixelPaddingValue=-2000,
        WindowCenter=[-600, 40],
        WindowWidth=[1500, 400],
        SpacingBetweenSlices=5,
        KVP=120,
        AcquisitionNumber=1,
        ContentDate='20200101',
        ContentTime='120000.5',
        NumberOfFrames=1,
    )
    found = [
        dicom_slice(pixels),
        dicom_slice((pixels + 1024).astype(np.uint16), RescaleIntercept=-1024),
        dicom_slice(pixels, **more),
        dicom_slice(pixels, **more),
    ]
    found[3].compress(pydicom.uid.RLELossless, encoding_plugin='pydicom')
    files = []
    for data in found:
        stream = io.BytesIO()
        data.save_as(stream, enforce_file_format=True)
        files.append(stream.getvalue())
    return files


# --- NIfTI: fields of the header, in the order of their bytes ------------------------------------------------------------


@st.composite
def nifti_headers(draw, originals):
    """A NIfTI file of good voxels, some of whose fields were changed."""
    kind, content = draw(st.sampled_from(originals))
    layout, content = kind.template_dtype, bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(layout.names))
        field, offset = layout.fields[name][:2]
        number = field.base
        at = offset + number.itemsize * draw(st.integers(0, field.itemsize // number.itemsize - 1))
        if number.kind in 'iu':
            limits = np.iinfo(number)
            value = draw(
                st.one_of(
                    st.sampled_from([0, 1, 2, 4, 8, 16, 64, 256, 512, 768, int(limits.min), int(limits.max)]),
                    st.integers(int(limits.min), int(limits.max)),
                )
            )
            content[at : at + number.itemsize] = np.array(np.clip(value, limits.min, limits.max), number).tobytes()
        elif number.kind == 'f':
            value = draw(
                st.one_of(
                    st.sampled_from([0.0, -0.0, 1.0, -1.0, 352.0, 1e-30, 1e30, 3e38, np.nan, np.inf, -np.inf]),
                    st.floats(width=32),
                )
            )
            content[at : at + number.itemsize] = np.array(value, number).tobytes()
        else:
            value = draw(st.one_of(st.binary(max_size=field.itemsize), st.sampled_from([b'n+1\0', b'ni1\0', b'n+2\0', b''])))
            content[offset : offset + field.itemsize] = value.ljust(field.itemsize, b'\0')[: field.itemsize]
    return gzip.compress(bytes(content), 1) if draw(st.integers(0, 3)) == 0 else bytes(content)


@pytest.fixture(scope='module')
def volumes():
    """NIfTI-1 and NIfTI-2, in both byte orders, of integers and of floats that are scaled."""
    affine = np.diag([-0.7, 0.8, 5, 1])
    found = []
    for image, header in ((nibabel.Nifti1Image, nibabel.Nifti1Header), (nibabel.Nifti2Image, nibabel.Nifti2Header)):
        for kind, order in ((np.int16, '<'), (np.float32, '<'), (np.int16, '>')):
            data = image(chest_volume(2, SIZE).astype(kind), affine, header(endianness=order))
            data.set_qform(affine, 1)
            found.append((data.header, data.to_bytes()))
    return found


# --- what must hold ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def inferencer(tmp_path_factory, repo_root):
    """A model that looks at the first slice of each size only."""
    found = AffinityInferencer(
        *write_model(tmp_path_factory.mktemp('model'), repo_root, size=SIZE),
        device='cpu',
        cfg_options={'model.test_cfg.rcnn.max_per_img': 3},
    )
    forward, answers = found._forward, {}

    def remembered(packed):
        key = tuple((entry['inputs'].shape, entry['data_samples'].ori_shape) for entry in packed)
        if key not in answers:
            answers[key] = forward(packed)
        return copy.deepcopy(answers[key])

    found._forward = remembered
    return found


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('fuzz')


def predict(inferencer, path, out, resume):
    """Return the report of a run or the text of its error; fail on anything else."""
    console = io.StringIO()
    with contextlib.redirect_stderr(console), contextlib.redirect_stdout(console), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        warnings.simplefilter('ignore', DeprecationWarning)  # Python shows none of packages
        # Python 3.13 on: of what earlier tests left, whenever it is collected. Prediction opens no database.
        warnings.filterwarnings('ignore', 'unclosed database', ResourceWarning)
        try:
            report = predict_to_folder(inferencer, path, out, 0.3, resume, 'none', dicom_seg=True)
        except (ValueError, FileNotFoundError) as error:
            assert str(path) in str(error) or 'scan.bin' in str(error), error
            report = str(error)
    assert not console.getvalue() and not seen, (console.getvalue(), [str(warning.message) for warning in seen])
    if isinstance(report, PredictionReport):
        assert not report.failed, '\n'.join(report_lines(report, out))
    written = json.loads((out / 'report.json').read_text())
    assert not any('failed' in item['reason'] or 'cannot be predicted' in item['reason'] for item in written['not_predicted'])
    return report


def check(inferencer, folder, content):
    path, out = folder / 'scan.bin', folder / 'out'
    path.write_bytes(content)
    shutil.rmtree(out, ignore_errors=True)
    first = predict(inferencer, path, out, False)
    again = predict(inferencer, path, out, True)
    if isinstance(first, str):
        assert again == first
    else:
        assert [scan.notes for scan in again.scans] == [scan.notes for scan in first.scans]
        assert list(map(str, again.problems)) == list(map(str, first.problems))


@few(40)
@given(st.data())
def test_dicom_headers(inferencer, folder, slices, data):
    check(inferencer, folder, data.draw(dicom_headers(slices)))


@few(40)
@given(st.data())
def test_nifti_headers(inferencer, folder, volumes, data):
    check(inferencer, folder, data.draw(nifti_headers(volumes)))


def test_the_originals_are_predicted(inferencer, folder, slices, volumes):
    """Otherwise the mutations would test nothing."""
    for content in [*slices, *(content for _, content in volumes)]:
        (folder / 'scan.bin').write_bytes(content)
        shutil.rmtree(folder / 'out', ignore_errors=True)
        report = predict(inferencer, folder / 'scan.bin', folder / 'out', False)
        assert isinstance(report, PredictionReport) and not report.problems, report
        assert all(entry == entries_of(slices[0])[index] for index, entry in enumerate(entries_of(slices[0])))
