"""What the tests of verification share."""


def only(report, *checks):
    """The findings, after a check that they are of these checks and no others."""
    assert {finding.check for finding in report.findings} == set(checks), [f.message for f in report.findings]
    return report.findings
