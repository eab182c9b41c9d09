from mmaffinity.datasets.conversion import ConversionSummary


def row(label, patient, scan):
    return dict(img_path='x.png', label=label, patient_id=patient, scan_id=scan)


def test_counts_by_class_and_patient():
    summary = ConversionSummary('test')
    rows = [row(0, 'a', '1'), row(0, 'a', '2'), row(0, 'a', '2'), row(0, 'b', '1'), row(1, 'c', '3')]
    summary.add_slices('train', rows, ('Negative', 'COVID-19'))
    negative, positive, together = summary.slices
    assert (negative['slices'], negative['patients'], negative['scans']) == (4, 2, 3)
    assert negative['slices_per_patient'] == (1, 2, 3)
    assert (positive['slices'], positive['patients'], together['slices'], together['patients']) == (1, 1, 5, 3)


def test_unknown_patients_stay_unknown():
    summary = ConversionSummary('test')
    summary.add_slices('train', [row(0, None, None)], ('Negative',))
    assert all(entry['patients'] is None and entry['slices_per_patient'] is None for entry in summary.slices)


def test_shared_patients(caplog):
    summary = ConversionSummary('test')
    summary.check_patients('train', 'abc', 'val', 'def')
    assert summary.warnings == []
    summary.check_patients('train', 'abcd', 'test', 'dcbaz')
    assert summary.warnings == [
        '4 patients are in both train and test (a, b, c, ...): results on test do not measure the model on unseen patients'
    ]
    assert caplog.messages == ['warning: ' + summary.warnings[0]]


def test_counts_by_source():
    summary = ConversionSummary('test')
    rows = [dict(row(0, patient, '1'), source=source) for patient, source in (('a', 'X'), ('a', 'X'), ('b', 'X'), (None, None))]
    summary.add_sources('train', rows)
    assert summary.sources == [
        dict(split='train', source=None, slices=1, patients=None),
        dict(split='train', source='X', slices=3, patients=2),
    ]
    assert [line.split() for line in summary.table().splitlines()][2:] == [
        ['train', 'unknown', '1', 'unknown'],
        ['train', 'X', '3', '2'],
    ]


def test_problems_are_kept_and_logged(caplog):
    summary = ConversionSummary('test')
    summary.add_problems(['a: damaged', 'b: too small'])
    assert summary.problems == ['a: damaged', 'b: too small'] and summary.warnings == []
    assert caplog.messages == ['left out: a: damaged', 'left out: b: too small']


def test_files_are_named_relative_to_their_folder(tmp_path):
    summary = ConversionSummary('test', files=[tmp_path / 'train.json', tmp_path / 'fold_0' / 'train.json'])
    assert summary.table() == f'written to {tmp_path}: train.json, fold_0/train.json'
