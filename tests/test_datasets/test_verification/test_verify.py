"""A verification of correct data, and one of the lists alone."""

import shutil

from mmaffinity.datasets.verification import verify_config


def test_clean_data_has_no_findings(bench):
    report = bench.verify()
    assert report.findings == [] and report.passed
    assert report.sentences()[-1] == 'passed: no problems found'
    rows = {row['name']: row for row in report.datasets}
    assert list(rows) == [
        'train (annotations/lesions_train.json)',
        'train (annotations/slices_train.json)',
        'val (annotations/slices_val.json)',
        'test (annotations/lesions_test.json)',
        'test (annotations/slices_test.json)',
    ]
    slices = rows['train (annotations/slices_train.json)']
    assert (slices['num'], slices['patients'], slices['scans'], slices['unknown_patients']) == (4, 2, 2, 0)
    assert slices['classes'] == {'Normal': 2, 'COVID-19': 2}
    assert slices['kinds'] == {'.png': 4}
    assert slices['sizes'] == {'48 x 48': 4} and slices['depths'] == {'8': 4}
    lesions = rows['test (annotations/lesions_test.json)']
    assert (lesions['num'], lesions['with_lesions'], lesions['classes']) == (2, 2, {'lesion': 2})
    assert report.reading['files'] == report.reading['read'] == 12 + 4 + 4  # slices, lesion images, masks


def test_lists_only_reads_no_file(bench):
    bench.slices['test'][0]['patient_id'] = 'train-0'
    config = bench.config()
    shutil.rmtree(bench.root / 'slices')
    report = verify_config(config, read_files=False)
    assert {finding.check for finding in report.findings} == {'shared-patients', 'shared-scans'}
    assert report.reading is None and 'no files were read' in report.sentences()[-1]
    assert all(row['content_sha256'] is None for row in report.datasets)
