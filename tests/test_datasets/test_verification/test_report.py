"""The report of a verification as a file."""

import json


def test_report_is_written_as_plain_json(bench, tmp_path):
    bench.slices['test'][0]['patient_id'] = 'train-0'
    report = bench.verify(allow=['shared-scans'])
    report.write(tmp_path / 'sub/report.json')
    content = json.loads((tmp_path / 'sub/report.json').read_text())
    assert content['schema'] == 1 and content['passed'] is False
    assert [finding['check'] for finding in content['findings']] == ['shared-patients', 'shared-scans']
    assert [finding['severity'] for finding in content['findings']] == ['failure', 'allowed']
    assert len(content['datasets']) == 5 and content['reading']['read'] == 20
