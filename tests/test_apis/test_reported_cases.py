"""Small inputs from public bug reports, kept next to the repository."""

import json

import pytest

from mmaffinity.apis.prediction import predict_to_folder

pytest.importorskip('pydicom'), pytest.importorskip('nibabel'), pytest.importorskip('highdicom')
NO_HU = 'fewer than 1 in 20 of them below -100: not Hounsfield units of a chest'
# Rejected inputs and the expected messages.
REFUSED = {
    'n01_grey255_uint8': NO_HU,
    'n01d_scaled_0_1000': NO_HU,
    'n04b_raw_max_below_1500': NO_HU,
    'n27_mri': NO_HU,
    'radiopaedia_like': NO_HU,
    'd03_numframes_bad': "has NumberOfFrames '1A', which is not a whole number",
    'd26_private_syntax': 'has the non-standard transfer syntax 1.2.840.113619.5.2',
    'd42_enhanced_no_frames': 'and NumberOfFrames',
    'i11_jpeg2000': 'is JPEG 2000: save it as PNG',
}
# Number of slices per scan, whether all volumes are known, and text of the notes ('' means no note).
PREDICTED = {
    'samepos': ([2], False, 'warning: all 2 slices are at one position'),
    'samepos_with_good': ([2, 3], False, 'warning: all 2 slices are at one position'),
    'd52_bolus_tracking_study': ([5, 8], False, 'warning: all 8 slices are at one position'),
    'radiopaedia_hu': ([4], True, ''),
    'd41_8bit_windowed': ([3], True, 'warning: HU look implausible'),
    'd16_hu_stored_but_intercept_-1024': ([3], True, 'warning: HU look implausible'),
    'd07_constant_uids': ([3, 3], True, 'have 2 different PatientIDs'),
    'd07c_flat_no_uids': ([3, 3], True, 'have 2 different PatientIDs'),
    'i01b_covidctset_5000': ([2], False, '--max-value'),
    'i01_covidctset_12bit': ([2], False, '--max-value'),
    'd33_jp': ([2], True, ''),
    'd34_ir6': ([2], True, ''),
    'n14_qfac0': ([4], True, 'qfac'),
    'n28_negative_pixdim': ([4], True, 'should be positive'),
    'd01_nopreamble_noext': ([3], True, ''),
    'd05_ref': ([3], True, ''),
    'd05c_j2k_overlaybits': ([2], True, 'an overlay?'),
    'd06b_shifted': ([3], True, 'shifted down by 4'),
    'd32_macos': ([2], True, ''),
    'd04b_comma_spacing': ([3], True, 'decimal comma'),
    'd04c_comma_intercept_only': ([3], True, 'decimal comma'),
    'd30_no_positions_names': ([12], True, 'ordered by file name'),
    'n31_crc': ([4], True, 'warning: the compressed file does not match its checksum'),
    'd46_mixed_phase': ([6], True, 'warning: 3 of 6 slices are at the position of another slice'),
}


@pytest.fixture
def case(shared_dir, request):
    folder = shared_dir / 'cases' / request.param
    if not folder.exists():
        pytest.skip(f'reported cases not present: no {folder}')
    return folder


@pytest.mark.parametrize('case', REFUSED, indirect=True)
def test_reported_inputs_are_rejected_with_a_reason(case, tmp_path, inferencer):
    with pytest.raises(ValueError, match='nothing could be predicted') as raised:
        predict_to_folder(inferencer, case, tmp_path / 'out', overlays='none')
    assert REFUSED[case.name] in str(raised.value)
    if REFUSED[case.name] == NO_HU:
        assert '--rescale SLOPE INTERCEPT' in str(raised.value) and 'PNG' in str(raised.value)


@pytest.mark.parametrize('case', PREDICTED, indirect=True)
def test_reported_inputs_are_predicted_with_notes(case, tmp_path, inferencer):
    sizes, volumes, words = PREDICTED[case.name]
    report = predict_to_folder(inferencer, case, tmp_path / 'out', score_thr=0.3, overlays='none', dicom_seg=True)
    assert sorted(scan.num_predicted for scan in report.scans) == sizes and not report.problems
    assert all(scan.summary['lesions']['volume_ml'] is not None for scan in report.scans) == volumes
    written = json.loads((tmp_path / 'out' / 'report.json').read_text())['scans']
    notes = [note for scan in written for note in scan['notes'] if 'the scan is not a DICOM series' not in note]
    assert any(words in note for note in notes) if words else not notes
    for scan in written:
        there = (tmp_path / 'out' / scan['folder'] / 'lesions.dcm').exists()
        assert there != any('no DICOM-SEG (lesions.dcm)' in note for note in scan['notes'])
    again = predict_to_folder(inferencer, case, tmp_path / 'out', score_thr=0.3, overlays='none', dicom_seg=True, resume=True)
    assert [scan.notes for scan in again.scans] == [scan.notes for scan in report.scans]


def test_unused_bits_do_not_change_the_pixels(shared_dir, inferencer):
    if not (shared_dir / 'cases').exists():
        pytest.skip(f'reported cases not present: no {shared_dir}/cases')
    right, overlay, shifted = (
        {item.slice.index: item.probabilities for item in inferencer(shared_dir / 'cases' / name)}
        for name in ('d05_ref', 'd05c_j2k_overlaybits', 'd06b_shifted')
    )
    assert shifted == right and all(right[index] == overlay[index] for index in overlay)


def test_two_phases_count_each_position_once(shared_dir, inferencer):
    if not (shared_dir / 'cases').exists():
        pytest.skip(f'reported cases not present: no {shared_dir}/cases')
    slabs = [item.slice.thickness for item in inferencer(shared_dir / 'cases' / 'd46_mixed_phase')]
    assert slabs == [2.5] * 6


def test_a_real_series_without_identifiers_has_no_segmentation(shared_dir, tmp_path, inferencer, capfd):
    paths = sorted((shared_dir / 'data' / 'ct_dicom').glob('*.dcm'))[:2]
    if not paths:
        pytest.skip(f'real DICOM not present: no {shared_dir}/data/ct_dicom')
    pytest.importorskip('libjpeg', reason='pylibjpeg-libjpeg is not installed: make setup EXTRAS=jpeg')
    (scan,) = predict_to_folder(inferencer, paths, tmp_path / 'out', score_thr=0.3, overlays='none', dicom_seg=True).scans
    assert scan.notes == [
        f'warning: no {name}: 2 of 2 slices have no SOPInstanceUID to refer to'
        for name in ('DICOM-SEG (lesions.dcm)', 'DICOM-SR (measurements.dcm)')
    ]
    assert not list((tmp_path / 'out' / scan.folder).glob('*.dcm')) and 'duplicate' not in capfd.readouterr().err
