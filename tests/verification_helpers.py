"""Helpers for the tests of verification."""


def only(report, *checks):
    """Return the findings, after checking that they come from exactly these checks."""
    assert {finding.check for finding in report.findings} == set(checks), [f.message for f in report.findings]
    return report.findings
