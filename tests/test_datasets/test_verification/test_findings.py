"""Which findings fail a verification, and the description of every check."""

import pytest
from verification_helpers import only

from mmaffinity.datasets.verification.findings import CHECKS, MAX_ITEMS, findings_of


def test_allowed_failures_pass_and_strict_warnings_fail(bench):
    bench.slices['val'][0]['patient_id'] = 'test-0'
    bench.slices['val'][0]['scan_id'] = 'other'
    report = bench.verify(allow=['shared-patients'])
    assert report.passed and only(report, 'shared-patients')[0].severity == 'allowed'
    assert '1 accepted with --allow' in report.sentences()[-1]
    bench.slices['train'][0]['patient_id'] = None
    assert bench.verify(allow=['shared-patients']).passed
    strict = bench.verify(allow=['shared-patients'], strict=True)
    assert not strict.passed and [finding.check for finding in strict.findings] == ['unknown-patients', 'shared-patients']
    assert bench.verify(allow=['shared-patients', 'unknown-patients'], strict=True).passed
    with pytest.raises(ValueError, match="the unknown check 'patients'; choose from unreadable-lists"):
        bench.verify(allow=['patients'])


def test_every_check_is_described(repo_root):
    text = (repo_root / 'docs/data.md').read_text()
    assert [name for name in CHECKS if f'`{name}`' not in text] == []


def test_a_finding_counts_all_cases_and_lists_the_first():
    (one,) = findings_of('sizes', [('a.png is 3 x 4', 'a.png')], 'slice', 'has', 'another size', ': resize them')
    assert one.message == '1 slice has another size (a.png is 3 x 4): resize them' and one.severity == 'warning'
    cases = [(f'{index}.png', index) for index in range(MAX_ITEMS + 7)]
    (many,) = findings_of('missing-files', cases, 'file', 'is', 'missing')
    assert many.message == '1007 files are missing (0.png, 1.png, 2.png, ...)' and many.severity == 'failure'
    assert many.count == MAX_ITEMS + 7 and many.items == list(range(MAX_ITEMS))
    assert findings_of('sizes', [], 'slice', 'has', 'another size') == []
