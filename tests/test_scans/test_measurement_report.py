"""Measurements as DICOM SR: read back, validated, and stored in a PACS."""

import json
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest
from scan_helpers import write_images, write_series

from mmaffinity.scans import ScanSummary, find_scans, measure
from mmaffinity.scans.mask_writers import write_dicom_seg
from mmaffinity.scans.measurement_report import SCHEME, write_measurement_report
from mmaffinity.scans.output_folder import OutputFolder

pydicom = pytest.importorskip('pydicom')
sr = pytest.importorskip('highdicom.sr')


def program(name):
    """Path of a program, or a skip."""
    path = shutil.which(name) or shutil.which(name, path='/usr/sbin')
    return path or pytest.skip(f'no {name} (Debian: dicom3tools, dcmtk, orthanc)')


def predict(scan, threshold=255):
    """Records in which the lesion is the bone, and their summary."""
    records, summary = [], ScanSummary()
    for item in scan.read():
        masks = (item.grey >= threshold)[None]
        records.append(
            measure(
                item,
                'CP',
                {'Normal': 0.125, 'CP': 0.75},
                np.zeros((1, 4)),
                np.ones(1),
                np.zeros(1, int),
                masks if masks.any() else np.zeros((0, *item.grey.shape), bool),
                0.5 if masks.any() else 2,
            )
        )
        summary.add(records[-1])
    return records, summary.to_dict()


def write(folder, out, threshold=255):
    """Write both objects of a series; return why the report was not written, its path and the summary."""
    (scan,) = find_scans(folder)
    records, summary = predict(scan, threshold)
    write_dicom_seg(OutputFolder(out), 'scan', scan, iter(records), 'mmaffinity test')
    refusal = write_measurement_report(OutputFolder(out), 'scan', scan, summary, 'mmaffinity test')
    return refusal, out / 'scan' / 'measurements.dcm', summary


def numbers(report):
    """Numbers of a report by the meaning of their names, with their units."""
    found = {}

    def walk(item):
        if item.get('ValueType') == 'NUM':
            value = item.MeasuredValueSequence[0]
            found[item.ConceptNameCodeSequence[0].CodeMeaning] = (
                float(value.NumericValue),
                value.MeasurementUnitsCodeSequence[0].CodeValue,
            )
        for child in item.get('ContentSequence', []):
            walk(child)

    walk(report)
    return found


def test_the_report_has_the_measurements_and_refers_to_its_segment(tmp_path):
    refusal, path, summary = write(write_series(tmp_path / 'in', 4), tmp_path / 'out')
    assert refusal == ''
    report, segmentation = sr.srread(path), pydicom.dcmread(path.with_name('lesions.dcm'))
    assert numbers(report) == {
        'Mean probability of Normal': (0.125, '1'),
        'Mean probability of CP': (0.75, '1'),
        'Number of lesions, per slice': (4, '1'),
        'Volume': (pytest.approx(summary['lesions']['volume_ml']), 'ml'),
        'Area': (pytest.approx(summary['lesions']['area_mm2']), 'mm2'),
    }
    assert report.StudyInstanceUID == segmentation.StudyInstanceUID
    assert report.SeriesInstanceUID != segmentation.SeriesInstanceUID
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.referenced_segment.referenced_sop_instance_uid for group in groups] == [segmentation.SOPInstanceUID]
    text = str(report)
    assert 'Research use only' in text and SCHEME in text and report.PreliminaryFlag == 'PRELIMINARY'
    named = {
        str(item.ReferencedSOPInstanceUID)
        for study in [
            *report.get('CurrentRequestedProcedureEvidenceSequence', []),
            *report.get('PertinentOtherEvidenceSequence', []),
        ]
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    sources = {str(pydicom.dcmread(file).SOPInstanceUID) for file in (tmp_path / 'in').iterdir()}
    assert named == sources | {str(segmentation.SOPInstanceUID)}


def test_a_healthy_series_has_probabilities_only(tmp_path):
    refusal, path, _ = write(write_series(tmp_path / 'in', 2), tmp_path / 'out', threshold=256)
    assert refusal == '' and not path.with_name('lesions.dcm').exists()
    names = {'Mean probability of Normal', 'Mean probability of CP', 'Number of lesions, per slice'}
    assert set(numbers(sr.srread(path))) == names


@pytest.mark.parametrize(
    'changes, reason',
    [
        (dict(SOPInstanceUID=''), 'no SOPInstanceUID'),
        (dict(SOPInstanceUID='1.2.3'), 'share their SOPInstanceUID'),
        (dict(StudyInstanceUID=''), 'no StudyInstanceUID'),
    ],
)
def test_series_without_identifiers_have_no_report(tmp_path, changes, reason):
    refusal, path, _ = write(write_series(tmp_path / 'in', 2, **changes), tmp_path / 'out')
    assert reason in refusal and not path.exists()


def test_images_have_no_report(tmp_path):
    refusal, path, _ = write(write_images(tmp_path / 'in', 1), tmp_path / 'out')
    assert refusal == 'the scan is not a DICOM series' and not path.exists()


def test_a_real_series_without_identifiers_has_no_report(shared_dir, tmp_path):
    (scan,) = find_scans(shared_dir / 'data' / 'ct_dicom')
    refusal = write_measurement_report(OutputFolder(tmp_path), 'scan', scan, {}, 'x')
    assert refusal == '66 of 66 slices have no SOPInstanceUID to refer to'


@pytest.mark.parametrize('threshold', [255, 256])
def test_dciodvfy_finds_no_error(tmp_path, threshold):
    check = program('dciodvfy')
    _, path, _ = write(write_series(tmp_path / 'in', 3), tmp_path / 'out', threshold)
    for file in path.parent.glob('*.dcm'):
        done = subprocess.run([check, str(file)], capture_output=True, text=True, errors='replace')
        lines = (done.stdout + done.stderr).splitlines()
        assert {'lesions.dcm': 'Segmentation', 'measurements.dcm': 'Comprehensive3DSR'}[file.name] in lines
        assert [line for line in lines if line.startswith('Error')] == []


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture
def pacs(tmp_path):
    """An Orthanc server of this test: its DICOM port."""
    server, web, port = program('Orthanc'), free_port(), free_port()
    (tmp_path / 'pacs').mkdir()
    config = dict(
        Name='test',
        StorageDirectory=str(tmp_path / 'pacs'),
        IndexDirectory=str(tmp_path / 'pacs'),
        Plugins=[],
        HttpPort=web,
        DicomPort=port,
        RemoteAccessAllowed=False,
        DicomAlwaysAllowFind=True,
        DicomAlwaysAllowGet=True,
    )
    (tmp_path / 'pacs.json').write_text(json.dumps(config))
    with open(tmp_path / 'pacs.log', 'w') as log:
        running = subprocess.Popen([server, str(tmp_path / 'pacs.json')], stdout=log, stderr=log)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    break
            assert running.poll() is None, (tmp_path / 'pacs.log').read_text()[-1000:]
            time.sleep(0.1)
        yield str(port)
    finally:
        running.terminate()
        running.wait(30)


def test_a_pacs_stores_and_returns_series_segmentation_and_report(tmp_path, pacs):
    store, find, get = program('storescu'), program('findscu'), program('getscu')
    _, path, _ = write(write_series(tmp_path / 'in', 3), tmp_path / 'out')
    subprocess.run(
        [store, '-R', '+sd', '+r', '127.0.0.1', pacs, str(tmp_path / 'in'), str(path.parent)], check=True, timeout=60
    )
    (tmp_path / 'found').mkdir(), (tmp_path / 'got').mkdir()
    study = pydicom.dcmread(path).StudyInstanceUID
    query = ['-S', '127.0.0.1', pacs, '-k', f'StudyInstanceUID={study}']
    subprocess.run(
        [
            find,
            *query,
            '-X',
            '-od',
            str(tmp_path / 'found'),
            '-k',
            'QueryRetrieveLevel=SERIES',
            '-k',
            'Modality',
            '-k',
            'SeriesInstanceUID',
            '-k',
            'NumberOfSeriesRelatedInstances',
        ],
        check=True,
        timeout=60,
    )
    series = [pydicom.dcmread(file, force=True) for file in (tmp_path / 'found').iterdir()]
    assert {item.Modality: item.NumberOfSeriesRelatedInstances for item in series} == {'CT': 3, 'SEG': 1, 'SR': 1}
    for item in series:
        subprocess.run(
            [
                get,
                *query,
                '-od',
                str(tmp_path / 'got'),
                '-k',
                'QueryRetrieveLevel=SERIES',
                '-k',
                f'SeriesInstanceUID={item.SeriesInstanceUID}',
            ],
            check=True,
            timeout=60,
        )
    got = {str(data.SOPInstanceUID): data for data in map(pydicom.dcmread, (tmp_path / 'got').iterdir())}
    segmentation, report = pydicom.dcmread(path.with_name('lesions.dcm')), pydicom.dcmread(path)
    assert len(got) == 5
    assert np.array_equal(got[segmentation.SOPInstanceUID].pixel_array, segmentation.pixel_array)
    assert numbers(got[report.SOPInstanceUID]) == numbers(report)
