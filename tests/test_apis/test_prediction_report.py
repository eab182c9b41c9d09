"""The printed report of a prediction run."""

from mmaffinity.apis.prediction_report import PredictionReport, ScanResult, report_lines
from mmaffinity.scans import Problem

SUMMARY = dict(label='CP', mean_probability={'Normal': 0.25, 'CP': 0.5}, lesions=dict(number=1, volume_ml=None))


def test_scan_without_notes_takes_one_line():
    report = PredictionReport([ScanResult('s', 's', 1, 1, 0, SUMMARY)])
    assert list(report_lines(report, 'out')) == ['s: 1 of 1 slice; CP (Normal 0.250, CP 0.500); 1 lesion']


def test_a_model_without_classes_has_lesions_only():
    summary = dict(label=None, mean_probability={}, lesions=dict(number=2, volume_ml=1.25))
    assert list(report_lines(PredictionReport([ScanResult('s', 's', 3, 2, 1, summary)]), 'out')) == [
        's: 2 of 3 slices; 2 lesions, 1.2 ml'
    ]


def test_notes_are_counted_and_warnings_shown():
    notes = ['no PixelSpacing', 'warning: HU look implausible', 'b', 'c']
    lines = list(report_lines(PredictionReport([ScanResult('s', 'f', 3, 3, 0, SUMMARY, notes)]), 'out'))
    assert lines[1:] == ['  4 notes, see out/f/prediction.json; warnings:', '  warning: HU look implausible']
    lines = list(report_lines(PredictionReport([ScanResult('s', 'f', 3, 3, 0, SUMMARY, ['x'])]), 'out'))
    assert lines[1:] == ['  1 note, see out/f/prediction.json']


def test_failures_are_listed_before_rejections():
    problems = [Problem(f'{index}.txt', 'is no slice') for index in range(4)]
    report = PredictionReport([], [*problems, Problem('scan', 'failed: KeyError', failed=True)])
    lines = list(report_lines(report, 'out'))
    assert lines[:2] == ['5 inputs were not predicted:', '  scan: failed: KeyError'] and 'exit code is 1' in lines[-1]
    assert lines[4] == '  and 2 more, see out/report.json' and report.failed
    assert 'exit code' not in ' '.join(report_lines(PredictionReport([], problems[:1]), 'out'))


def test_clutter_is_one_line():
    clutter = [Problem(f'a/{folder}/.DS_Store', 'x', clutter=True) for folder in 'abc']
    index = Problem('a/DICOMDIR', 'x', clutter=True)
    assert list(report_lines(PredictionReport([], [], [*clutter, index]), 'out')) == [
        'ignored 4 files without slices: .DS_Store, DICOMDIR'
    ]
