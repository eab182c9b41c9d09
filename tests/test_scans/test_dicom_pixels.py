"""Pixels of DICOM slices as Hounsfield units."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, dicom_slice, jpeg_lossless, save_dicom

from mmaffinity.scans import find_scans
from mmaffinity.scans.dicom_frames import read_headers
from mmaffinity.scans.dicom_pixels import read_hounsfield
from mmaffinity.scans.items import ReadOptions
from mmaffinity.scans.windowing import Window

pydicom = pytest.importorskip('pydicom')
HU = chest().astype(np.int16)
STREAM = jpeg_lossless(HU + 1024)


DEFAULT = ReadOptions()


def read(path, data, options=DEFAULT):
    path = save_dicom(path / 'x.dcm', data)
    hu, notes = read_hounsfield(read_headers(path, 'x', 'key')[0], options)
    return hu, ' '.join(notes)


def test_rescale(tmp_path):
    stored = ((HU + 1024) * 2).astype(np.uint16)
    hu, notes = read(tmp_path, dicom_slice(stored, RescaleSlope=0.5, RescaleIntercept=-1024))
    assert np.array_equal(hu, HU) and not notes


@pytest.mark.parametrize('slope', [b'0.0000', b'1e9999', b'-1e999'])
def test_invalid_rescale_tags_are_rejected(tmp_path, slope):
    path = save_dicom(tmp_path / 'x.dcm', dicom_slice(HU, RescaleSlope='123456'))
    path.write_bytes(path.read_bytes().replace(b'123456', slope))
    with pytest.raises(ValueError, match='not give Hounsfield units|no Hounsfield units'):
        read_hounsfield(read_headers(path, 'x', 'key')[0], ReadOptions())


def test_missing_rescale_tags_are_not_guessed(tmp_path):
    bare = dict(RescaleSlope=None, RescaleIntercept=None)
    twelve_bit = (HU + 1024).astype(np.uint16)
    with pytest.raises(ValueError, match=r'no rescale tags and stored values 24 to 1624.*--rescale 1 -1024'):
        read(tmp_path, dicom_slice(twelve_bit, **bare))
    hu, notes = read(tmp_path, dicom_slice(twelve_bit, **bare), ReadOptions(rescale=(1, -1024)))
    assert np.array_equal(hu, HU) and 'the given slope 1 and intercept -1024' in notes
    hu, notes = read(tmp_path, dicom_slice(HU, **bare))
    assert np.array_equal(hu, HU) and 'were treated as Hounsfield units' in notes


def test_padding_becomes_air(tmp_path):
    padded = HU.copy()
    padded[:5] = -2000
    assert (read(tmp_path, dicom_slice(padded, PixelPaddingValue=-2000))[0][:5] == -1000).all()
    high = HU.copy()
    high[:5] = 32000
    assert (read(tmp_path, dicom_slice(high, PixelPaddingValue=32000))[0][:5] == -1000).all()
    hu, notes = read(tmp_path, dicom_slice(HU, PixelPaddingValue=40))
    assert np.array_equal(hu, HU) and 'which is tissue: ignored' in notes


@pytest.mark.parametrize(
    'case, stored, rescale, window, words',
    [
        ('true units, only shown inverted', HU, (1, 0), Window(), 'not inverted'),
        ('stored values inverted', (4095 - (HU + 1024)).astype(np.uint16), (1, -1024), Window(), 'stored values were inverted'),
        ('signed values inverted', (-1 - HU).astype(np.int16), (1, 0), Window(), 'stored values were inverted'),
    ],
)
def test_monochrome1(tmp_path, case, stored, rescale, window, words):
    bits = 12 if stored.dtype == np.uint16 else 16
    data = dicom_slice(
        stored,
        PhotometricInterpretation='MONOCHROME1',
        RescaleSlope=rescale[0],
        RescaleIntercept=rescale[1],
        BitsStored=bits,
        HighBit=bits - 1,
    )
    hu, notes = read(tmp_path, data, ReadOptions(window))
    assert np.array_equal(hu, HU) and words in notes


@pytest.mark.parametrize('bits, top', [(8, 255), (12, 4095), (16, 255)])
def test_monochrome1_without_air_is_inverted_as_displayed(tmp_path, bits, top):
    grey = np.arange(4096, dtype=np.uint16).reshape(64, 64) % 256
    window = Window(127.5, 255)
    data = dicom_slice(
        (top - grey).astype(np.uint16), PhotometricInterpretation='MONOCHROME1', BitsStored=bits, HighBit=bits - 1
    )
    hu, notes = read(tmp_path, data, ReadOptions(window))
    assert np.array_equal(window.apply(hu)[0], grey) and 'inverted as a viewer would display it' in notes


@pytest.mark.parametrize('syntax', ['RLELossless', 'JPEGLSLossless', 'JPEG2000Lossless'])
def test_compressed_by_pydicoms_plugins(tmp_path, syntax):
    data = dicom_slice((HU + 1024).astype(np.uint16), RescaleIntercept=-1024)
    if syntax == 'JPEG2000Lossless':
        pillow = pytest.importorskip('PIL.features')
        if not pillow.check('jpg_2000'):
            pytest.skip('Pillow without JPEG 2000')
        import io

        from PIL import Image

        packed = io.BytesIO()
        Image.fromarray((HU + 1024).astype(np.uint16)).save(packed, 'JPEG2000', irreversible=False, no_jp2=True)
        data.PixelData = pydicom.encaps.encapsulate([packed.getvalue()])
        data['PixelData'].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    else:
        try:
            data.compress(getattr(pydicom.uid, syntax))
        except RuntimeError as error:
            pytest.skip(f'no encoder for {syntax}: {error}')
    assert np.array_equal(read(tmp_path, data)[0], HU)


@pytest.mark.parametrize('cut', [0, 1, 2, 100])
def test_truncated_code_stream_is_not_filled_with_zeros(tmp_path, cut):
    """The JPEG-LS decoder accepts it silently."""
    data = dicom_slice((HU + 1024).astype(np.uint16), RescaleIntercept=-1024)
    data.compress(pydicom.uid.JPEGLSLossless)
    stream = pydicom.encaps.get_frame(data.PixelData, 0, number_of_frames=1).rstrip(b'\0')
    data.PixelData = pydicom.encaps.encapsulate([stream[: len(stream) - cut]])
    if cut == 0:
        assert np.array_equal(read(tmp_path, data)[0], HU)
    else:
        with pytest.raises(ValueError, match='truncated: its code stream has no end mark'):
            read(tmp_path, data)


@pytest.mark.parametrize('bits', [12, 16])
@pytest.mark.parametrize('name', ['JPEGLosslessSV1', 'JPEGLossless'])
def test_jpeg_lossless(tmp_path, name, bits):
    """With a code stream written by the tests, because no encoder is available."""
    pytest.importorskip('libjpeg', reason='pylibjpeg-libjpeg is not installed: install the extra jpeg')
    for signed in (False, True):
        stored = HU + (0 if signed else 1024)
        data = dicom_slice(
            stored.astype(np.int16 if signed else np.uint16),
            BitsStored=bits,
            HighBit=bits - 1,
            RescaleIntercept=0 if signed else -1024,
        )
        data.PixelData = pydicom.encaps.encapsulate([jpeg_lossless(stored.astype(int) % (1 << bits), bits)])
        data['PixelData'].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, name)
        hu, notes = read(tmp_path, data)
        assert np.array_equal(hu, HU) and not notes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(STREAM) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(STREAM)))
def test_damaged_jpeg_lossless_gives_pixels_or_a_reason(tmp_path, changes, cut):
    pytest.importorskip('libjpeg', reason='pylibjpeg-libjpeg is not installed: install the extra jpeg')
    content = bytearray(STREAM)
    for place, value in changes:
        content[place] = value
    data = dicom_slice((HU + 1024).astype(np.uint16), RescaleIntercept=-1024)
    data.PixelData = pydicom.encaps.encapsulate([bytes(content[: len(STREAM) - cut // 8])])
    data['PixelData'].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    try:
        assert read(tmp_path, data)[0].shape == HU.shape
    except ValueError as error:
        assert 'cannot be decoded' in str(error) or 'pixel' in str(error)


def test_gdcm_is_never_used(tmp_path, monkeypatch):
    """It crashes the process on some damaged files, so it must not be used even if installed."""
    data = dicom_slice((HU + 1024).astype(np.uint16), RescaleIntercept=-1024)
    pytest.importorskip('libjpeg', reason='pylibjpeg-libjpeg is not installed: install the extra jpeg')
    data.PixelData = pydicom.encaps.encapsulate([STREAM])
    data['PixelData'].is_undefined_length = True
    for name in ('JPEGLosslessSV1', 'JPEG2000Lossless'):
        data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, name)
        decoder = pydicom.pixels.get_decoder(data.file_meta.TransferSyntaxUID)
        monkeypatch.setattr(decoder, '_available', {'gdcm': lambda *args: pytest.fail('asked'), **decoder._available})
        if name == 'JPEGLosslessSV1':
            assert np.array_equal(read(tmp_path, data)[0], HU)
        else:
            with pytest.raises(ValueError, match='cannot be decoded .*(pillow|pylibjpeg): '):
                read(tmp_path, data)


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(), 'HU look implausible: values from 24 to 1624, but no air (below -500)'),
        (dict(RescaleIntercept=-1024), ''),
        (dict(RescaleSlope=2, RescaleIntercept=-400), 'values from -352 to 2848'),
    ],
)
def test_values_without_air_are_noted(tmp_path, changes, words):
    """Signed pixels whose rescale tags lack the offset."""
    hu, notes = read(tmp_path, dicom_slice(HU + 1024, **changes))
    assert words in notes and (words or not notes)


def test_padding_does_not_count_as_air(tmp_path):
    padded = HU + 1024
    padded[:5] = -2000
    assert 'HU look implausible: values from 24' in read(tmp_path, dicom_slice(padded))[1]
    assert 'HU look implausible: values from 24' in read(tmp_path, dicom_slice(padded, PixelPaddingValue=-2000))[1]
    blank = np.full((64, 64), -2000, np.int16)
    assert not read(tmp_path, dicom_slice(blank, PixelPaddingValue=-2000))[1]


def test_truncated_pixels_are_rejected(tmp_path):
    data = dicom_slice(HU)
    data.PixelData = data.PixelData[:1000]
    with pytest.raises(ValueError, match='truncated: 1000 of 8192 bytes'):
        read(tmp_path, data)
    del data['PixelData']
    with pytest.raises(ValueError, match='no pixel data'):
        read(tmp_path, data)


@pytest.mark.parametrize('high, stored', [(15, 12), (11, 12)], ids=['shifted', 'lowest'])
@pytest.mark.parametrize('signed', [False, True])
def test_bits_next_to_the_value_are_ignored(tmp_path, high, stored, signed):
    values = HU.astype(np.int16) if signed else (HU + 1024).astype(np.uint16)
    words = ((values.view(np.uint16) & 0xFFF) << (high - 11)).astype(np.uint16)
    words |= np.uint16(1 << (0 if high == 15 else 14)) * (np.indices(words.shape).sum(axis=0) % 5 == 0).astype(np.uint16)
    data = dicom_slice(words.view(values.dtype), BitsStored=stored, HighBit=high, RescaleIntercept=0 if signed else -1024)
    hu, notes = read(tmp_path, data)
    assert np.array_equal(hu, HU) and ('shifted down' if high == 15 else 'an overlay?') in notes


@pytest.mark.parametrize(
    'intercept, words', [(-1024, 'hardly any soft tissue'), (-1000, 'hardly any soft tissue'), (1024, 'no air')]
)
def test_repeated_rescaling_is_noted(tmp_path, intercept, words):
    note = read(tmp_path, dicom_slice(HU.astype(np.int16), RescaleIntercept=intercept))[1]
    assert note.startswith('warning: HU look implausible') and words in note


def test_private_transfer_syntax_is_named(tmp_path):
    data = dicom_slice(HU.astype(np.int16))
    path = save_dicom(tmp_path / 'im.dcm', data)
    path.write_bytes(path.read_bytes().replace(b'1.2.840.10008.1.2.1\0', b'1.2.840.113619.5.2\0\0'))
    (scan,) = find_scans(path)
    (problem,) = scan.read()
    assert 'transfer syntax 1.2.840.113619.5.2' in problem.reason and 'export the series again' in problem.reason


def test_padding_beyond_the_stored_bits_is_detected(tmp_path):
    words = (HU + 1024).astype(np.uint16)
    words[:5] = 63536
    hu, _ = read(tmp_path, dicom_slice(words, BitsStored=12, HighBit=11, RescaleIntercept=-1024, PixelPaddingValue=63536))
    assert (hu[:5] == -1000).all() and np.array_equal(hu[5:], HU[5:])


@pytest.mark.parametrize(
    'syntax, compressed, words',
    [
        ('1.2.840.10008.1.2.1', True, 'they are compressed, but the transfer syntax says that they are not'),
        ('1.2.840.10008.1.2.5', False, 'they are not compressed, but the transfer syntax claims it'),
    ],
)
def test_pixels_that_contradict_the_transfer_syntax(tmp_path, syntax, compressed, words):
    """pydicom#1320 and #738. Noise is longer when compressed, and was read as if it were pixels."""
    pixels = np.random.RandomState(0).randint(-1000, 1000, (64, 64)).astype(np.int16)
    data = dicom_slice(pixels)
    if compressed:
        data.compress('1.2.840.10008.1.2.5', encoding_plugin='pydicom')
        assert len(data.PixelData) > pixels.nbytes
    path = save_dicom(tmp_path / 'a.dcm', data)
    uids = (b'1.2.840.10008.1.2.5\0', b'1.2.840.10008.1.2.1\0')
    path.write_bytes(path.read_bytes().replace(uids[not compressed], syntax.encode() + b'\0', 1))
    (item,) = next(find_scans(path)).read()
    assert words in item.reason


def test_floating_point_pixels_are_rejected(tmp_path):
    """vtk-dicom#49."""
    data = dicom_slice(chest().astype(np.int16), BitsAllocated=32, PixelData=None)
    data.FloatPixelData = chest().astype(np.float32).tobytes()
    (item,) = next(find_scans(save_dicom(tmp_path / 'a.dcm', data))).read()
    assert 'floating-point pixels' in item.reason


@pytest.mark.parametrize(
    'kind, words', [(b'IS', r"has BitsAllocated '\\x10', which is not a whole number"), (b'', 'no BitsAllocated')]
)
def test_invalid_bits_allocated(tmp_path, kind, words):
    """Found by fuzzing: pydicom's warning came out raw, and "invalid literal for int()" was the reason."""
    path = save_dicom(tmp_path / 'a.dcm', dicom_slice(chest().astype(np.int16)))
    content = path.read_bytes()
    at = content.index(b'\x28\0\0\x01US')
    path.write_bytes(content[:at] + (content[at : at + 4] + kind + content[at + 6 :] if kind else content[at + 10 :]))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        (item,) = next(find_scans(path)).read()
    assert words in item.reason
