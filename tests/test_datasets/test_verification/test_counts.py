"""Numbers of slices and patients, and classes without slices."""

from verification_helpers import only


def test_file_kinds_are_counted_by_name(bench):
    image = bench.read('slices/val_0.png')
    for index, name in enumerate(('slices/val_0.JPG', 'slices/val_1.jpg')):
        bench.write(name, image)
        bench.slices['val'][index]['img_path'] = name
    report = bench.verify(read_files=False)
    row = next(row for row in report.datasets if row['split'] == 'val')
    assert row['kinds'] == {'.jpg': 2, '.png': 2} and row['sizes'] is None
    assert any('2 patients, 2 scans, .jpg and .png' in line for line in report.sentences())


def test_class_counts(bench):
    for row in bench.slices['train']:
        row['label'] = 0
    (finding,) = only(bench.verify(), 'class-counts')
    assert 'no slice of COVID-19 (Normal 4, COVID-19 0)' in finding.message and 'train' in finding.message
